import { BaseGenerator } from '../base.ts';

/** `yo botpress-prod:ci`: pipelines, and the commands that they run. */
export default class CiGenerator extends BaseGenerator {
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
