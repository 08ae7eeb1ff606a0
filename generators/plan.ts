import { randomBytes } from 'node:crypto';
import manifest from '../package.json' with { type: 'json' };
import type { Answers } from '../src/deployment/answers.ts';
import { deriveDeployment, type Deployment } from '../src/deployment/deployment.ts';
import type { Part } from '../src/deployment/question.ts';
import { SECRET_BYTES } from '../src/deployment/secrets.ts';
import { renderArtefacts } from '../src/rendering/artefact.ts';
import { checkPlan } from '../src/rendering/check.ts';
import type { Plan, PlannedFile } from '../src/rendering/plan.ts';
import { artefacts } from './table.ts';

export const { version } = manifest;

/**
 * The plan for a set of answers: every file of every part, rendered and checked. Pure but for the random secrets,
 * which the repository only takes where there is none yet.
 * Throws when a rendered text breaks the rules of its format: a fault of the generator, never of the user.
 */
export function buildPlan(answers: Answers, randomSecret: () => string = makeSecret): Plan {
  const plan = renderPlan(answers, randomSecret);
  refuseFaults(plan);
  return plan;
}

/**
 * The plan without the check of its texts, which costs more than all the rest: for what only looks. Nothing of it may
 * be written before `refuseFaults`.
 */
export function renderPlan(answers: Answers, randomSecret: () => string = makeSecret): Plan {
  const deployment = deriveDeployment(answers);
  const files = [
    ...Object.entries(artefacts).flatMap(([part, rows]) =>
      isWritten(part as Part, deployment) ? renderArtefacts(part as Part, rows, deployment) : [],
    ),
    ...planSecrets(deployment, randomSecret),
  ].sort((a, b) => (a.path < b.path ? -1 : 1));
  return { generator: version, answers, files };
}

/** Of the stack itself come only the few files that the parts used alone stand on; its rows say which. */
function isWritten(part: Part, { alone }: Deployment): boolean {
  return alone.length === 0 || part === 'app' || (alone as readonly Part[]).includes(part);
}

/**
 * Throws when a text of the plan breaks the rules of its format, naming every such file. Texts that no answer can break
 * are left to the tests: parsing them would take a fifth of a run.
 */
export function refuseFaults({ answers, files }: Plan): void {
  const { environments, stack, backup } = deriveDeployment(answers);
  const faults = checkPlan(
    files,
    environments.map(({ name }) => name),
    ({ closed }) => closed === true,
    stack ? backup.folders.map(({ source }) => source) : [],
  );
  if (faults.length > 0)
    throw new Error(
      `the generator made files that cannot be right; nothing was written\n${faults
        .map(({ path, reason }) => `  ${path}: ${reason}`)
        .join('\n')}`,
    );
}

/** 256 bits in the URL-safe base64 alphabet. */
function makeSecret(): string {
  return randomBytes(SECRET_BYTES).toString('base64url');
}

/**
 * The random secrets of each environment. Their folder has mode 700; inside, a container's uid must be able to read
 * through a bind mount, and compose ignores uid and mode of secrets that are files.
 */
function planSecrets(deployment: Deployment, randomSecret: () => string): PlannedFile[] {
  return deployment.environments.flatMap(({ name: environment }) =>
    deployment.randomSecrets.map(({ name }) => ({
      path: `secrets/${environment}/${name}`,
      kind: 'secret' as const,
      mode: 0o644,
      template: name,
      content: `${randomSecret()}\n`,
    })),
  );
}
