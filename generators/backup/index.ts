import { BaseGenerator } from '../base.ts';

/** `yo botpress-prod:backup`: backups and their restore. */
export default class BackupGenerator extends BaseGenerator {
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
