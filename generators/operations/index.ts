import { BaseGenerator } from '../base.ts';

/** `yo botpress-prod:operations`: health, metrics, dashboards, alerts and the guarded API. */
export default class OperationsGenerator extends BaseGenerator {
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
