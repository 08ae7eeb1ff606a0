import type { Artefact } from '../../src/rendering/artefact.ts';
import { monitoringArtefacts } from './monitoring.ts';

/** What the operations part writes. */
export const artefacts: readonly Artefact[] = [...monitoringArtefacts];
