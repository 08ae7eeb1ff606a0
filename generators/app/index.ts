import { BaseGenerator } from '../base.ts';

/** `yo botpress-prod`: the core stack and every part that the answers ask for. */
export default class AppGenerator extends BaseGenerator {
  async prompting(): Promise<void> {
    await this.collectAnswers();
  }

  writing(): void {
    this.commitPlan();
  }

  end(): void {
    this.tellNextStep();
  }
}
