import { questionsOf, type Ask } from '../../src/deployment/question.ts';
import { email, integer, list, ratio, yesOrNo } from '../fields.ts';

const ask: Ask = ({ draft }) => draft.monitoring ?? true;
const askGateway: Ask = (context) =>
  ask(context) && (context.draft.scaling?.target ?? 'compose') === 'compose';

export const questions = questionsOf('operations', [
  {
    path: 'monitoring',
    message: 'Monitoring and alerts?',
    help: 'Metrics, dashboards and alerts beside the stack.',
    field: yesOrNo,
    default: true,
    mend: 'answer true or false',
  },
  {
    path: 'gateway.enabled',
    message: 'Guard the converse API with keys and limits?',
    help: 'Closes the open converse API of Botpress and puts a gateway with API keys and rate limits in its place; part of monitoring (compose only).',
    field: yesOrNo,
    default: false,
    mend: 'answer true or false',
    ask: askGateway,
  },
  {
    path: 'gateway.requestsPerMinute',
    message: 'Requests a minute that one API key may make',
    help: 'Requests a minute that one API key of the gateway may make, over all of its instances.',
    field: integer(1, 100_000),
    default: 60,
    mend: 'give a number of requests, like 60',
    ask: (context) => askGateway(context) && context.draft.gateway?.enabled === true,
  },
  {
    path: 'alerts.slack',
    message: 'Alerts to Slack?',
    help: 'Sends alerts to a Slack webhook, which is a secret of the environment.',
    field: yesOrNo,
    default: false,
    mend: 'answer true or false',
    ask,
  },
  {
    path: 'alerts.email',
    message: 'Alerts by e-mail to (comma-separated; empty for none)',
    help: 'Addresses that receive alerts.',
    field: list(email),
    default: [],
    mend: 'use addresses like ops@acme.example',
    ask,
  },
  {
    path: 'alerts.errorRate',
    message: 'Alert above this ratio of failed requests',
    help: 'Ratio of failed requests from which an alert fires, 0 to 1.',
    field: ratio,
    default: 0.05,
    mend: 'give a ratio like 0.05',
    ask,
  },
  {
    path: 'alerts.responseTimeMs',
    message: 'Alert above this response time (milliseconds)',
    help: 'Response time in milliseconds from which an alert fires.',
    field: integer(1, 600_000),
    default: 5000,
    mend: 'give milliseconds, like 5000',
    ask,
  },
  {
    path: 'alerts.memoryUsage',
    message: 'Alert above this share of memory',
    help: 'Share of the memory limit from which an alert fires, 0 to 1.',
    field: ratio,
    default: 0.9,
    mend: 'give a ratio like 0.9',
    ask,
  },
]);
