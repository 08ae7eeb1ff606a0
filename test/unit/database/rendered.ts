import { deriveDeployment, type Deployment } from '../../../src/deployment/deployment.ts';
import { renderArtefacts, type Artefact } from '../../../src/rendering/artefact.ts';
import { artefacts } from '../../../generators/app/files.ts';
import { parseAnswers } from '../../../generators/gate.ts';
import { withAnswers } from '../answers/sample.ts';

/** What this folder tests. */
export const rows: readonly Artefact[] = artefacts.filter(({ template }) =>
  /^(database|redis)\//.test(template),
);

/** The deployment of the default answers with some of them changed, by dotted path. */
export function deploymentOf(changes: Record<string, unknown> = {}): Deployment {
  return deriveDeployment(parseAnswers(withAnswers(changes)));
}

/** Path in the output → final text. */
export function renderDatabase(deployment: Deployment): Map<string, string> {
  return new Map(renderArtefacts('app', rows, deployment).map(({ path, content }) => [path, content]));
}
