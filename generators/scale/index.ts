import { BaseGenerator } from '../base.ts';

/** `yo botpress-prod:scale`: the same deployment on Swarm or Kubernetes. */
export default class ScaleGenerator extends BaseGenerator {
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
