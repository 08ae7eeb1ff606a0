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

/** What the ci part writes: nothing where the answers name no system. */
export const artefacts: readonly Artefact[] = [
  // GitHub
  { template: '.github/workflows/pull-request.yml', when: onGithub },
  { template: '.github/workflows/deploy.yml', when: both(onGithub, deploys) },
  { template: '.github/workflows/restore-drill.yml', when: both(onGithub, drills) },
  { template: '.github/workflows/certificate.yml', when: both(onGithub, certificates) },

  // GitLab
  { template: '.gitlab-ci.yml', when: onGitlab },
  { template: '.gitlab/checks.gitlab-ci.yml', when: onGitlab },
  { template: '.gitlab/deploy.gitlab-ci.yml', when: both(onGitlab, deploys) },
  { template: '.gitlab/scheduled.gitlab-ci.yml', when: both(onGitlab, reachesOrShows) },

  // What the pipelines run, and anybody else can run
  { template: 'bin/lint', mode: executable, when: anywhere },
  { template: 'bin/scan', mode: executable, when: anywhere },
  { template: 'bin/trial', mode: executable, when: both(anywhere, starts) },
  { template: 'bin/smoke', mode: executable, when: anywhere },
  { template: 'bin/certificate', mode: executable, when: both(anywhere, certificates) },
  { template: 'bin/push-content', mode: executable, when: both(anywhere, deploys) },
  { template: 'bin/release', mode: executable, when: both(anywhere, deploys) },
  { template: 'bin/remote', mode: executable, when: both(anywhere, reachesServers) },
  { template: 'bin/lib/tools.sh', when: anywhere },
  { template: 'bin/lib/remote.sh', when: both(anywhere, reachesServers) },
  { template: 'botpress/content.sh', mode: executable, when: both(anywhere, deploys) },

  // Settings of the programs
  { template: 'ci/compose.yaml', when: anywhere },
  { template: '.yamllint.yaml', when: anywhere },
  { template: '.trivyignore.yaml', kind: 'seeded', when: anywhere },

  { template: 'docs/ci.md', when: anywhere },
];

function reachesOrShows(locals: Locals): boolean {
  return drills(locals) || certificates(locals);
}
