/** The Kubernetes objects of the output, and what can be said of them without a cluster. */
import { join } from 'node:path';
import ts from 'typescript';
import { parse, parseAllDocuments } from 'yaml';
import { parseAnswers } from '../../../generators/gate.ts';
import { renderPlan } from '../../../generators/plan.ts';
import { withAnswers } from '../answers/sample.ts';

export interface Mapping {
  [key: string]: unknown;
}

export interface KubernetesObject {
  apiVersion: string;
  kind: string;
  metadata: {
    name: string;
    namespace?: string;
    labels?: Record<string, string>;
    annotations?: Record<string, string>;
  };
  spec?: Mapping;
  data?: Record<string, string>;
}

export interface Container {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string; valueFrom?: unknown }[];
  envFrom?: { configMapRef?: { name: string }; secretRef?: { name: string } }[];
  ports?: { name: string; containerPort: number }[];
  resources?: { limits?: Record<string, string>; requests?: Record<string, string> };
  securityContext?: Mapping & { capabilities?: { drop?: string[]; add?: string[] } };
  volumeMounts?: { name: string; mountPath: string; subPath?: string; readOnly?: boolean }[];
  startupProbe?: Probe;
  readinessProbe?: Probe;
  livenessProbe?: Probe;
  lifecycle?: { preStop?: { exec?: { command: string[] } } };
}

export interface Probe {
  exec?: { command: string[] };
  httpGet?: { path: string; port: string };
  tcpSocket?: { port: string };
  periodSeconds?: number;
  timeoutSeconds?: number;
  failureThreshold?: number;
}

export interface PodSpec {
  containers: Container[];
  initContainers?: Container[];
  volumes?: (Mapping & { name: string })[];
  securityContext?: Mapping & { runAsUser?: number };
  serviceAccountName?: string;
  automountServiceAccountToken?: boolean;
  enableServiceLinks?: boolean;
  terminationGracePeriodSeconds?: number;
  restartPolicy?: string;
  topologySpreadConstraints?: {
    topologyKey: string;
    labelSelector: { matchLabels: Record<string, string> };
  }[];
  hostNetwork?: boolean;
  hostPID?: boolean;
  hostIPC?: boolean;
}

export interface Pod {
  owner: string;
  labels: Record<string, string>;
  spec: PodSpec;
}

export type Files = ReadonlyMap<string, string>;

/** Every file of the output for the defaults with some answers changed. */
export function renderFiles(changes: Record<string, unknown>): Files {
  const { files } = renderPlan(parseAnswers(withAnswers(changes)), () => 'x'.repeat(43));
  return new Map(files.map(({ path, content }) => [path, content]));
}

/** Objects as they are written, before kustomize: each file below kubernetes/ that is none of its own lists. */
export function writtenObjects(files: Files): KubernetesObject[] {
  return [...files]
    .filter(
      ([path]) =>
        path.startsWith('kubernetes/') && path.endsWith('.yaml') && !path.endsWith('kustomization.yaml'),
    )
    .map(([, text]) => parse(text) as KubernetesObject);
}

/** Objects of a stream of documents, as `kubectl kustomize` prints them. */
export function parseObjects(text: string): KubernetesObject[] {
  return parseAllDocuments(text).map((document) => document.toJS() as KubernetesObject);
}

/** The pods that an object makes. */
export function podsOf(objects: readonly KubernetesObject[]): Pod[] {
  return objects.flatMap(({ kind, metadata, spec }) => {
    const holder =
      kind === 'CronJob'
        ? ((spec?.jobTemplate as Mapping).spec as Mapping)
        : ['Deployment', 'StatefulSet', 'Job'].includes(kind)
          ? (spec as Mapping)
          : undefined;
    if (!holder) return [];
    const template = holder.template as { metadata: { labels: Record<string, string> }; spec: PodSpec };
    return [{ owner: `${kind} ${metadata.name}`, labels: template.metadata.labels, spec: template.spec }];
  });
}

export function containersOf({ spec }: Pod): Container[] {
  return [...(spec.initContainers ?? []), ...spec.containers];
}

/** Packages with the schemas of each group; '' is the core. */
const PACKAGES: Record<string, string> = {
  '': 'kubernetes-models',
  apps: 'kubernetes-models/apps',
  batch: 'kubernetes-models/batch',
  autoscaling: 'kubernetes-models/autoscaling',
  policy: 'kubernetes-models/policy',
  'networking.k8s.io': 'kubernetes-models/networking.k8s.io',
  'gateway.networking.k8s.io': '@kubernetes-models/gateway-api/gateway.networking.k8s.io',
  'external-secrets.io': '@kubernetes-models/external-secrets/external-secrets.io',
  'monitoring.coreos.com': '@kubernetes-models/prometheus-operator/monitoring.coreos.com',
};

/** No package has the schema of CloudNativePG: its Cluster is looked at by hand, see the tests. */
const WITHOUT_SCHEMA = ['postgresql.cnpg.io/v1 Cluster'];

function moduleOf({ apiVersion, kind }: KubernetesObject): string | undefined {
  if (WITHOUT_SCHEMA.includes(`${apiVersion} ${kind}`)) return undefined;
  const [group, version] = apiVersion.includes('/') ? apiVersion.split('/') : ['', apiVersion];
  const folder = PACKAGES[group ?? ''];
  if (folder === undefined) throw new Error(`no schema is known for ${apiVersion} ${kind}`);
  return `${folder}/${version}/${kind}`;
}

/** Faults by the schema of the API version that an object names: one line each. */
export async function schemaFaults(objects: readonly KubernetesObject[]): Promise<string[]> {
  const faults: string[] = [];
  for (const object of objects) {
    const path = moduleOf(object);
    if (!path) continue;
    const model = ((await import(path)) as Record<string, new (data: object) => { validate(): void }>)[
      object.kind
    ];
    if (!model) throw new Error(`${path} has no ${object.kind}`);
    try {
      new model(object).validate();
    } catch (error) {
      faults.push(`${object.kind} ${object.metadata.name}: ${(error as Error).message}`);
    }
  }
  return faults;
}

/**
 * Fields that no schema knows, which the API server would refuse or drop: the objects as literals of the types that the
 * schemas' packages carry, judged by the compiler, one line each.
 */
export function unknownFields(objects: readonly KubernetesObject[]): string[] {
  const file = join(import.meta.dirname, 'objects-under-test.ts');
  const types = new Map<string, string>();
  const lines: string[] = [];
  for (const object of objects) {
    const path = moduleOf(object);
    if (!path) continue;
    if (!types.has(path)) types.set(path, `T${types.size}`);
    lines.push(`const _${lines.length}: ${types.get(path)} = ${JSON.stringify(object)};`);
  }
  const imports = [...types].map(
    ([path, name]) => `import type { I${path.split('/').at(-1)} as ${name} } from '${path}';`,
  );
  const text = [...imports, ...lines, 'export {};'].join('\n');
  const options: ts.CompilerOptions = {
    strict: true,
    noEmit: true,
    skipLibCheck: true,
    types: [],
    module: ts.ModuleKind.NodeNext,
    moduleResolution: ts.ModuleResolutionKind.NodeNext,
    target: ts.ScriptTarget.ES2022,
  };
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists, getSourceFile } = host;
  host.readFile = (name) => (name === file ? text : readFile.call(host, name));
  host.fileExists = (name) => name === file || fileExists.call(host, name);
  host.getSourceFile = (name, ...rest) =>
    name === file
      ? ts.createSourceFile(name, text, ts.ScriptTarget.ES2022)
      : getSourceFile.call(host, name, ...rest);
  const program = ts.createProgram([file], options, host);
  return ts.getPreEmitDiagnostics(program).map(({ messageText, start, file: source }) => {
    const line = source && start !== undefined ? source.getLineAndCharacterOfPosition(start).line : -1;
    const object = objects.filter((each) => moduleOf(each))[line - imports.length];
    return `${object?.kind} ${object?.metadata.name}: ${ts.flattenDiagnosticMessageText(messageText, ' ').slice(0, 300)}`;
  });
}

/** What Pod Security "restricted" and the rules of this project ask of every pod: one line for each that is broken. */
export function podFaults(objects: readonly KubernetesObject[]): string[] {
  return podsOf(objects).flatMap((pod) => {
    const { owner, spec } = pod;
    const faults: string[] = [];
    const demand = (condition: unknown, what: string) => {
      if (!condition) faults.push(`${owner}: ${what}`);
    };
    const context = spec.securityContext ?? {};
    demand(context.runAsNonRoot === true, 'runAsNonRoot');
    demand((context.runAsUser ?? 0) > 0, 'a user of its own');
    demand(
      (context.seccompProfile as Mapping | undefined)?.type === 'RuntimeDefault',
      'seccomp RuntimeDefault',
    );
    demand(spec.automountServiceAccountToken === false, 'no token of a service account');
    demand(spec.serviceAccountName === 'botpress', 'an account of its own');
    demand(spec.enableServiceLinks === false, 'no variables of services');
    demand(!spec.hostNetwork && !spec.hostPID && !spec.hostIPC, 'nothing of the host');
    for (const volume of spec.volumes ?? []) {
      const kinds = Object.keys(volume).filter((key) => key !== 'name');
      demand(
        kinds.every((kind) =>
          ['configMap', 'secret', 'projected', 'emptyDir', 'persistentVolumeClaim'].includes(kind),
        ),
        `volume ${volume.name} of a permitted kind`,
      );
      if (volume.emptyDir) demand((volume.emptyDir as Mapping).sizeLimit, `a limit on ${volume.name}`);
    }
    for (const container of containersOf(pod)) {
      const { securityContext = {}, resources, image } = container;
      const of = `${container.name}: `;
      demand(securityContext.allowPrivilegeEscalation === false, `${of}no escalation`);
      demand(securityContext.readOnlyRootFilesystem === true, `${of}read-only root`);
      demand(securityContext.capabilities?.drop?.join() === 'ALL', `${of}no capabilities`);
      demand(!securityContext.capabilities?.add && !securityContext.privileged, `${of}no capability added`);
      for (const kind of ['requests', 'limits'] as const)
        for (const resource of ['cpu', 'memory'])
          demand(resources?.[kind]?.[resource], `${of}${kind} of ${resource}`);
      demand(/^[^:@]+(?::[^:@]*\d[^:@]*|@sha256:[0-9a-f]{64})$/.test(image), `${of}a pinned image`);
      for (const { name } of container.env ?? [])
        demand(!/PASSWORD|SECRET|TOKEN|_KEY$/.test(name), `${of}no secret in a variable (${name})`);
      demand(!(container.envFrom ?? []).some(({ secretRef }) => secretRef), `${of}no secrets as variables`);
    }
    if (/^(Deployment|StatefulSet) /.test(owner))
      for (const container of spec.containers) {
        demand(container.startupProbe, `${container.name}: startup probe`);
        demand(container.readinessProbe, `${container.name}: readiness probe`);
        demand(container.livenessProbe, `${container.name}: liveness probe`);
      }
    return faults;
  });
}

/** What one object says of another: names, keys, labels and ports that do not exist, one line each. */
export function danglingReferences(
  objects: readonly KubernetesObject[],
  made: readonly string[] = [],
): string[] {
  const faults: string[] = [];
  const named = (kind: string, name: string | undefined) =>
    objects.find((object) => object.kind === kind && object.metadata.name === name);
  const pods = podsOf(objects);
  for (const pod of pods) {
    const { owner, spec } = pod;
    const claims = (
      objects.find(({ kind, metadata }) => `${kind} ${metadata.name}` === owner)?.spec
        ?.volumeClaimTemplates as { metadata: { name: string } }[] | undefined
    )?.map(({ metadata }) => metadata.name);
    const volumes = new Set([...(spec.volumes ?? []).map(({ name }) => name), ...(claims ?? [])]);
    const used = new Set<string>();
    const demandKeys = (name: string, items: { key: string }[] | undefined) => {
      const map = named('ConfigMap', name);
      if (!map) faults.push(`${owner}: no ConfigMap ${name}`);
      for (const { key } of items ?? [])
        if (map && map.data?.[key] === undefined) faults.push(`${owner}: ConfigMap ${name} has no ${key}`);
    };
    type Source = { configMap?: { name: string; items?: { key: string }[] } };
    for (const volume of spec.volumes ?? []) {
      const sources = [
        volume as Source,
        ...(((volume.projected as Mapping | undefined)?.sources as Source[]) ?? []),
      ];
      for (const { configMap } of sources) if (configMap) demandKeys(configMap.name, configMap.items);
      const secret = (volume.secret as { secretName: string } | undefined)?.secretName;
      if (secret && !made.includes(secret)) faults.push(`${owner}: nobody makes the Secret ${secret}`);
      const claim = (volume.persistentVolumeClaim as { claimName: string } | undefined)?.claimName;
      if (claim && !named('PersistentVolumeClaim', claim)) faults.push(`${owner}: no claim ${claim}`);
    }
    for (const container of containersOf(pod)) {
      for (const { name } of container.volumeMounts ?? []) {
        used.add(name);
        if (!volumes.has(name)) faults.push(`${owner}: ${container.name} mounts ${name}, which is no volume`);
      }
      for (const { configMapRef } of container.envFrom ?? [])
        if (configMapRef) demandKeys(configMapRef.name, undefined);
    }
    for (const name of volumes)
      if (!used.has(name)) faults.push(`${owner}: the volume ${name} is mounted nowhere`);
    if (spec.serviceAccountName && !named('ServiceAccount', spec.serviceAccountName))
      faults.push(`${owner}: no account ${spec.serviceAccountName}`);
  }
  const fits = (selector: Record<string, string>) =>
    pods.filter(({ labels }) => Object.entries(selector).every(([key, value]) => labels[key] === value));
  for (const { kind, metadata, spec } of objects) {
    if (kind === 'Service') {
      const selector = spec?.selector as Record<string, string>;
      // The pods of PostgreSQL are the operator's.
      if (selector['cnpg.io/cluster']) {
        if (!named('Cluster', selector['cnpg.io/cluster']))
          faults.push(`Service ${metadata.name}: no such cluster`);
        continue;
      }
      const targets = fits(selector);
      if (targets.length === 0) faults.push(`Service ${metadata.name}: selects no pod`);
      for (const { targetPort } of spec?.ports as { targetPort: string }[])
        if (
          !targets.some(({ spec: each }) =>
            each.containers.some(({ ports }) => ports?.some(({ name }) => name === targetPort)),
          )
        )
          faults.push(`Service ${metadata.name}: no port ${targetPort}`);
    }
    if (kind === 'PodDisruptionBudget') {
      const { matchLabels } = spec?.selector as { matchLabels: Record<string, string> };
      if (fits(matchLabels).length === 0) faults.push(`PodDisruptionBudget ${metadata.name}: selects no pod`);
    }
    if (kind === 'HorizontalPodAutoscaler') {
      const { kind: target, name } = spec?.scaleTargetRef as { kind: string; name: string };
      if (!named(target, name)) faults.push(`HorizontalPodAutoscaler ${metadata.name}: no ${target} ${name}`);
    }
  }
  return faults;
}

interface Peer {
  podSelector?: Selector;
  namespaceSelector?: Selector;
  ipBlock?: { cidr: string; except?: string[] };
}
interface Selector {
  matchLabels?: Record<string, string>;
  matchExpressions?: { key: string; operator: string; values: string[] }[];
}
interface Rule {
  from?: Peer[];
  to?: Peer[];
  ports?: { protocol: string; port: number }[];
}

/** Policies as they apply: who may be reached by whom, and rules that name nobody. */
export function policiesOf(objects: readonly KubernetesObject[]) {
  return objects
    .filter(({ kind }) => kind === 'NetworkPolicy')
    .map(({ metadata, spec }) => ({
      name: metadata.name,
      selector: spec?.podSelector as Selector,
      types: spec?.policyTypes as string[],
      ingress: (spec?.ingress ?? []) as Rule[],
      egress: (spec?.egress ?? []) as Rule[],
    }));
}

export function selects(
  { matchLabels = {}, matchExpressions = [] }: Selector,
  labels: Record<string, string>,
): boolean {
  return (
    Object.entries(matchLabels).every(([key, value]) => labels[key] === value) &&
    matchExpressions.every(({ key, operator, values }) => {
      if (operator !== 'In') throw new Error(`operator ${operator} is not known here`);
      return values.includes(labels[key] ?? '');
    })
  );
}

/** May a pod with these labels open a connection to a pod of the same namespace? Both directions must allow it. */
export function mayConnect(
  objects: readonly KubernetesObject[],
  from: Record<string, string>,
  to: Record<string, string>,
  port: number,
): boolean {
  const policies = policiesOf(objects);
  const allows = (rules: Rule[], side: 'from' | 'to', other: Record<string, string>) =>
    rules.some(
      (rule) =>
        (!rule.ports || rule.ports.some((each) => each.port === port)) &&
        (!rule[side] ||
          rule[side].some(
            ({ podSelector, namespaceSelector }) =>
              podSelector && !namespaceSelector && selects(podSelector, other),
          )),
    );
  const direction = (
    type: 'Ingress' | 'Egress',
    own: Record<string, string>,
    other: Record<string, string>,
  ) => {
    const applying = policies.filter(({ selector, types }) => types.includes(type) && selects(selector, own));
    return (
      applying.length === 0 ||
      applying.some((policy) =>
        type === 'Ingress' ? allows(policy.ingress, 'from', other) : allows(policy.egress, 'to', other),
      )
    );
  };
  return direction('Egress', from, to) && direction('Ingress', to, from);
}
