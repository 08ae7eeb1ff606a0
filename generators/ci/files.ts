import type { Artefact, Locals } from '../../src/rendering/artefact.ts';

const executable = 0o755;

const onGithub = ({ deployment }: Locals) => deployment.ci === 'github';
const onGitlab = ({ deployment }: Locals) => deployment.ci === 'gitlab';
const anywhere = ({ deployment }: Locals) => deployment.ci !== 'none';
const both =
  (first: (locals: Locals) => boolean, second: (locals: Locals) => boolean) =>
  (locals: Locals): boolean =>
    first(locals) && second(locals);

const deploys = ({ deployment }: Locals) => deployment.pipeline.deploys;
const drills = ({ deployment }: Locals) => deployment.pipeline.drills;
const certificates = ({ deployment }: Locals) => deployment.pipeline.certificates;
const starts = ({ deployment }: Locals) => deployment.pipeline.trial !== undefined;
const reachesServers = ({ deployment }: Locals) => deployment.pipeline.deploys || deployment.pipeline.drills;

const isAlone = ({ deployment }: Locals) => deployment.stack !== undefined;
const isWhole = (locals: Locals) => !isAlone(locals);

/** Beside a stack of others, only backups have commands on a server. */
const commandsServers = (locals: Locals) => reachesServers(locals) && (isWhole(locals) || drills(locals));

/** Workflows of GitHub. Beside others, their names say whose they are: deploy.yml may well be there. */
const workflows: Artefact[] = (
  [
    ['pull-request', () => true],
    ['deploy', deploys],
    ['restore-drill', drills],
    ['certificate', certificates],
  ] as const
).flatMap(([name, when]) => {
  const template = `.github/workflows/${name}.yml`;
  const isThere = both(onGithub, when);
  return [
    { template, when: both(isThere, isWhole) },
    { template, path: `.github/workflows/botpress-${name}.yml`, when: both(isThere, isAlone) },
  ];
});

/** What the ci part writes: nothing where the answers name no system. */
export const artefacts: readonly Artefact[] = [
  ...workflows,

  // GitLab
  { template: '.gitlab-ci.yml', when: both(onGitlab, ({ deployment }) => !deployment.stack?.ownPipeline) },
  { template: '.gitlab/checks.gitlab-ci.yml', when: onGitlab },
  { template: '.gitlab/deploy.gitlab-ci.yml', when: both(onGitlab, deploys) },
  { template: '.gitlab/scheduled.gitlab-ci.yml', when: both(onGitlab, reachesOrShows) },

  // What the pipelines run, and anybody else can run
  { template: 'bin/lint', mode: executable, when: anywhere },
  { template: 'bin/scan', mode: executable, when: anywhere },
  { template: 'bin/trial', mode: executable, when: both(anywhere, starts) },
  { template: 'bin/smoke', mode: executable, when: both(anywhere, isWhole) },
  { template: 'bin/certificate', mode: executable, when: both(anywhere, certificates) },
  { template: 'bin/push-content', mode: executable, when: both(both(anywhere, deploys), isWhole) },
  { template: 'bin/release', mode: executable, when: both(both(anywhere, deploys), isWhole) },
  { template: 'bin/remote', mode: executable, when: both(anywhere, commandsServers) },
  { template: 'bin/lib/tools.sh', when: anywhere },
  { template: 'bin/lib/remote.sh', when: both(anywhere, reachesServers) },
  { template: 'botpress/content.sh', mode: executable, when: both(both(anywhere, deploys), isWhole) },

  // The same beside a stack that this generator did not write
  { template: 'alone/smoke', path: 'bin/smoke', mode: executable, when: both(anywhere, isAlone) },
  { template: 'alone/release', path: 'bin/release', mode: executable, when: both(anywhere, isAlone) },
  {
    template: 'ci/test.sh',
    mode: executable,
    when: both(anywhere, ({ deployment }) => deployment.stack?.test !== undefined),
  },

  // Settings of the programs
  { template: 'ci/compose.yaml', when: anywhere },
  { template: '.yamllint.yaml', when: both(anywhere, isWhole) },
  { template: '.trivyignore.yaml', kind: 'seeded', when: anywhere },

  { template: 'docs/ci.md', when: both(anywhere, isWhole) },
  { template: 'alone/ci.md', path: 'docs/ci.md', when: both(anywhere, isAlone) },
];

function reachesOrShows(locals: Locals): boolean {
  return drills(locals) || certificates(locals);
}
