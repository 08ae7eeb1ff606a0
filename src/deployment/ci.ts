import type { Answers } from './answers.ts';
import type { Environment } from './environments.ts';
import type { Stack } from './stack.ts';

/** An action of GitHub, pinned: a tag can be moved to other code, a commit cannot. */
interface Action {
  name: string;
  /** What the commit is called; a comment for people and for the dependency bot. */
  version: string;
  /** 40 hexadecimal digits. */
  commit: string;
}

/** The one place with action pins. Each commit is what the action's own tag of that version points to. */
export const ACTIONS = {
  checkout: {
    name: 'actions/checkout',
    version: 'v7.0.1',
    commit: '3d3c42e5aac5ba805825da76410c181273ba90b1',
  },
  setupNode: {
    name: 'actions/setup-node',
    version: 'v7.0.0',
    commit: '820762786026740c76f36085b0efc47a31fe5020',
  },
  dependencyReview: {
    name: 'actions/dependency-review-action',
    version: 'v5.0.0',
    commit: 'a1d282b36b6f3519aa1f3fc636f609c47dddb294',
  },
} as const satisfies Record<string, Action>;

/** Programs that only the pipeline runs, as images. The digest says which bytes, whoever moves the tag. */
export const TOOLS = {
  shellcheck:
    'koalaman/shellcheck:v0.11.0@sha256:61862eba1fcf09a484ebcc6feea46f1782532571a34ed51fedf90dd25f925a8d',
  shfmt: 'mvdan/shfmt:v3.14.1@sha256:8c06884a35683d8763fba6c0d9484d11a61a96da65f8d497d6f625825a6043f2',
  yamllint:
    'pipelinecomponents/yamllint:0.35.13@sha256:5ab5eb7da0ed5e606b07c1723fc8b275e925189f70ac259b26b7329cb5f8f44d',
  hadolint:
    'hadolint/hadolint:v2.15.1@sha256:32dac94127fd60b7b7e3fbfc65e1383b9b5e25c9bfd7b8536de7a539fe68a12d',
  actionlint:
    'rhysd/actionlint:1.7.12@sha256:b1934ee5f1c509618f2508e6eb47ee0d3520686341fec936f3b79331f9315667',
  zizmor:
    'ghcr.io/zizmorcore/zizmor:1.29.0@sha256:863026d54f91271b10b60b67ad8054cb37120167e162482597db102b3026a284',
  gitleaks:
    'ghcr.io/gitleaks/gitleaks:v8.30.1@sha256:c00b6bd0aeb3071cbcb79009cb16a60dd9e0a7c60e2be9ab65d25e6bc8abbb7f',
  trivy: 'aquasec/trivy:0.74.0@sha256:62b1e65e8869bc4b4c6aa4fa2b21595256c7c2f6018a9d9ad61caf87187c1969',
} as const;

/** Images in which jobs of GitLab run. The engine's image has its command line, compose and ssh as well. */
export const JOB_IMAGES = {
  docker: 'docker:29.8.1-dind@sha256:3f3c01aaaebf7cce837356b688b7c059a4749f10bd7660dec7c58fc454a283f0',
  node: 'node:20.20.2-bookworm',
} as const;

/** An environment on a server. */
export interface Stage extends Environment {
  /** What visitors open. */
  address: string;
}

/** The pipelines of the repository. */
export interface Pipeline {
  /** Environments on servers, in the order in which a release reaches them; production is the last. */
  stages: Stage[];
  /** The last of them, which waits for an approval where it is not the only one. */
  last?: Stage;
  /** The environment that a pull request starts for trial; none where a licence would be needed to start. */
  trial?: Environment;
  /** `bin/deploy` is part of the repository, and there is a server to run it on. */
  deploys: boolean;
  /** `bin/backup drill` is part of the repository, and there is a server to run it on. */
  drills: boolean;
  /** Some server shows a certificate that `bin/certificate` knows of. */
  certificates: boolean;
  /** What stands behind `uses:`, with the version as comment. */
  uses: Record<keyof typeof ACTIONS, string>;
  tools: typeof TOOLS;
  jobImages: typeof JOB_IMAGES;
}

/**
 * What the pipelines do for these answers.
 * @param environments all of them
 * @param production the one that visitors use
 * @param stack where parts are used alone: nothing of it can be started for trial, and of its front nothing is known
 */
export function derivePipeline(
  answers: Answers,
  environments: readonly Environment[],
  production: Environment,
  stack?: Stack,
): Pipeline {
  const servers = environments.filter(({ domain }) => stack !== undefined || domain !== 'localhost');
  const stages = [
    ...servers.filter((environment) => environment !== production),
    ...servers.filter((environment) => environment === production),
  ].map((environment) => ({
    ...environment,
    address:
      stack?.servers.find(({ environment: name }) => name === environment.name)?.url ??
      environment.externalUrl,
  }));
  const last = stages.at(-1);
  const trial = answers.edition === 'pro' || stack ? undefined : easiest(environments);
  return {
    stages,
    ...(last && { last }),
    ...(trial && { trial }),
    deploys: answers.scaling.target === 'compose' && stages.length > 0,
    drills: answers.backup.targets.length > 0 && stages.length > 0,
    certificates: stack === undefined && stages.some(({ secure }) => secure),
    uses: Object.fromEntries(
      Object.entries(ACTIONS).map(([key, { name, version, commit }]) => [
        key,
        `${name}@${commit} # ${version}`,
      ]),
    ) as Pipeline['uses'],
    tools: TOOLS,
    jobImages: JOB_IMAGES,
  };
}

/** The environment that asks least of a machine that nobody prepared. */
function easiest(environments: readonly Environment[]): Environment | undefined {
  return (
    environments.find(({ development }) => development) ??
    environments.find(({ tls }) => tls === 'none' || tls === 'self-signed') ??
    environments[0]
  );
}
