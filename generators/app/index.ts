import { BaseGenerator } from '../base.ts';

/** `yo botpress-prod`: the core stack and every part that the answers ask for. */
export default class AppGenerator extends BaseGenerator {}
