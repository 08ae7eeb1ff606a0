import { BaseGenerator } from '../base.ts';

/** `yo botpress-prod:deploy`: rollouts that lose no request. */
export default class DeployGenerator extends BaseGenerator {
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
