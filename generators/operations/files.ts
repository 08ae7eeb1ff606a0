import type { Artefact } from '../../src/rendering/artefact.ts';
import { monitoringArtefacts } from './monitoring.ts';
import { artefacts as serviceArtefacts } from './service.ts';

/** What the operations part writes: the service, and what watches the stack. */
export const artefacts: readonly Artefact[] = [...serviceArtefacts, ...monitoringArtefacts];
