import type { Artefact } from '../../src/rendering/artefact.ts';
import { artefacts as serviceArtefacts } from './service.ts';

/** What the operations part writes. */
export const artefacts: readonly Artefact[] = [...serviceArtefacts];
