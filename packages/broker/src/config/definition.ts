import { type Check, noEmptyItems } from './checks.ts'

export * from './checks.ts'

/** Kafka's types of configuration values. A `password` never leaves the process. */
export type ConfigType = 'boolean' | 'string' | 'int' | 'short' | 'long' | 'double' | 'list' | 'class' | 'password'

/** Who can change a broker setting at run time: nobody, each broker for itself, or also all brokers at once. */
export type DynamicScope = 'none' | 'broker' | 'cluster'

/**
 * One configuration key. `V` is the type that its value has in {@link BrokerConfig} or {@link TopicConfig}; it exists only for the
 * compiler. Tables of definitions are the single source of names, types, defaults, limits and documentation.
 */
export interface Definition<V = unknown> {
  readonly type: ConfigType
  /** Text form of the default, null if there is none. */
  readonly defaultText: string | null
  /** The default is the number of nodes in the cluster, at most this; null: `defaultText` counts. */
  readonly defaultUpToNodes: number | null
  readonly dynamic: DynamicScope
  /** One sentence, sent to clients that ask for documentation. */
  readonly documentation: string
  readonly check: Check | null
  /** Internal keys are left out of listings unless they are set. */
  readonly internal: boolean
  /** Never present: carries `V`. */
  readonly valueType?: V
}

/** Tables by key. */
export type Definitions = Readonly<Record<string, Definition>>

/** Type of a definition's value. */
export type ValueOf<D> = D extends Definition<infer V> ? V : never

/** `log.retention.ms` → `logRetentionMs`. */
export type CamelCase<S extends string> = S extends `${infer Head}.${infer Tail}`
  ? `${Head}${Capitalize<CamelCase<Tail>>}`
  : S

/** Object type with one camel-case property per key of a table. */
export type SettingsOf<T extends Definitions> = { readonly [K in keyof T & string as CamelCase<K>]: ValueOf<T[K]> }

/** 2^31 - 1. */
export const INT_MAX = 2_147_483_647

/** 2^63 - 1, Kafka's "no limit". As a setting it becomes `Number.MAX_SAFE_INTEGER`. */
export const LONG_MAX = 9_223_372_036_854_775_807n

/** Default that follows the size of the cluster: what Kafka replicates three times, one node can only keep once. */
export interface NodeCountDefault {
  readonly upToNodes: number
}

/** The number of nodes, at most `limit`. */
export function upToNodes(limit: number): NodeCountDefault {
  return { upToNodes: limit }
}

type NumberDefault = number | bigint | NodeCountDefault

export function int(value: NumberDefault, dynamic: DynamicScope, text: string, check?: Check): Definition<number>
export function int(value: null, dynamic: DynamicScope, text: string, check?: Check): Definition<number | null>
export function int(value: NumberDefault | null, dynamic: DynamicScope, text: string, check?: Check): Definition {
  return define('int', value, dynamic, text, check)
}

export function short(value: NumberDefault, dynamic: DynamicScope, text: string, check?: Check): Definition<number> {
  return define('short', value, dynamic, text, check) as Definition<number>
}

export function long(value: NumberDefault, dynamic: DynamicScope, text: string, check?: Check): Definition<number>
export function long(value: null, dynamic: DynamicScope, text: string, check?: Check): Definition<number | null>
export function long(value: NumberDefault | null, dynamic: DynamicScope, text: string, check?: Check): Definition {
  return define('long', value, dynamic, text, check)
}

export function double(value: number, dynamic: DynamicScope, text: string, check?: Check): Definition<number> {
  return define('double', formatDouble(value), dynamic, text, check) as Definition<number>
}

export function bool(value: boolean, dynamic: DynamicScope, text: string, check?: Check): Definition<boolean> {
  return define('boolean', value, dynamic, text, check) as Definition<boolean>
}

export function string(value: string, dynamic: DynamicScope, text: string, check?: Check): Definition<string>
export function string(value: null, dynamic: DynamicScope, text: string, check?: Check): Definition<string | null>
export function string(value: string | null, dynamic: DynamicScope, text: string, check?: Check): Definition {
  return define('string', value, dynamic, text, check)
}

/** A name of a Java class: kept as text. */
export function classname(value: null, dynamic: DynamicScope, text: string): Definition<string | null> {
  return define('class', value, dynamic, text) as Definition<string | null>
}

/** A secret: sensitive, so its value is never shown. */
export function password(value: null, dynamic: DynamicScope, text: string): Definition<string | null> {
  return define('password', value, dynamic, text) as Definition<string | null>
}

/** A comma-separated list, without empty items unless `check` says otherwise. */
export function list(value: string, dynamic: DynamicScope, text: string, check?: Check): Definition<readonly string[]>
export function list(
  value: null,
  dynamic: DynamicScope,
  text: string,
  check?: Check,
): Definition<readonly string[] | null>
export function list(
  value: string | null,
  dynamic: DynamicScope,
  text: string,
  check: Check = noEmptyItems,
): Definition {
  return define('list', value, dynamic, text, check)
}

/** The same key, hidden from listings unless it is set. */
export function internal<V>(definition: Definition<V>): Definition<V> {
  return { ...definition, internal: true }
}

/** Default text for a cluster of `nodeCount` nodes. */
export function defaultTextOf(definition: Definition, nodeCount: number): string | null {
  if (definition.defaultUpToNodes === null) return definition.defaultText
  return String(Math.max(1, Math.min(definition.defaultUpToNodes, nodeCount)))
}

/** `log.retention.ms` → `logRetentionMs`, the run-time side of {@link CamelCase}. */
export function camelCase(key: string): string {
  let name = camelCased.get(key)
  if (name === undefined) {
    name = key.replace(/\.(.)/g, (_, letter: string) => letter.toUpperCase())
    camelCased.set(key, name)
  }
  return name
}

/** By key, of which there are as many as definitions: the settings of a topic are named again for each that is made. */
const camelCased = new Map<string, string>()

/** Text of a double as Java writes it, which tools compare with: `0.5`, `1.0E10`, `1.7976931348623157E308`. */
export function formatDouble(value: number): string {
  const size = Math.abs(value)
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    const [mantissa, exponent] = value.toExponential().split('e')
    return `${mantissa!.includes('.') ? mantissa : `${mantissa}.0`}E${Number(exponent)}`
  }
  const text = String(value)
  return text.includes('.') ? text : `${text}.0`
}

function define(
  type: ConfigType,
  value: NumberDefault | string | boolean | null,
  dynamic: DynamicScope,
  documentation: string,
  check: Check | null = null,
): Definition {
  const byNodes = typeof value === 'object' && value !== null ? value.upToNodes : null
  return {
    type,
    defaultText: value === null || byNodes !== null ? null : String(value),
    defaultUpToNodes: byNodes,
    dynamic,
    documentation,
    check,
    internal: false,
  }
}
