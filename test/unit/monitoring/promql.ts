import { parser } from '@prometheus-io/lezer-promql';

/**
 * Names of the metrics that an expression reads, by Prometheus' own grammar.
 * @throws when it is no PromQL
 */
export function metricsOf(expression: string): string[] {
  const names = new Set<string>();
  parser.parse(expression).iterate({
    enter: ({ type, node, from }) => {
      if (type.isError) throw new Error(`no PromQL at ${from}: ${expression}`);
      if (type.name !== 'VectorSelector') return;
      const name = node.getChild('Identifier');
      if (name) names.add(expression.slice(name.from, name.to));
    },
  });
  return [...names];
}
