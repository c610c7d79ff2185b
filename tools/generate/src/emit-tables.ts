import {
  type ApiSchema,
  apiSchemas,
  type DataSchema,
  dataFamilySchemas,
  errorSchemas,
  NO_VERSION,
  parseVersions,
  type ResolvedMessage,
  removedApis,
} from '@millrace/protocol/schema'
import { fileHeader } from './emit-file.ts'
import { quote } from './message-context.ts'
import { kebabCase, uncapitalize, upperSnakeCase } from './naming.ts'

/** File name of an API without its ending: `00-produce`. */
export function apiFileName(key: number, name: string): string {
  return `${String(key).padStart(2, '0')}-${kebabCase(name)}`
}

/** The API's definition, last in its generated file. */
export function emitApiDefinition(api: ApiSchema): string {
  const { min, max } = parseVersions(api.versions, NO_VERSION)
  const flexibleFrom = api.flexible === 'none' ? NO_VERSION : parseVersions(api.flexible, max).min
  const { name } = api
  return [
    `/** Everything needed to speak ${name} (key ${api.key}). */`,
    `export const ${uncapitalize(name)}Api: ApiDefinition<${name}Request, ${name}Response> = {`,
    `key: ${api.key},`,
    `name: ${quote(name)},`,
    `minVersion: ${min},`,
    `maxVersion: ${api.latestVersionUnstable ? max - 1 : max},`,
    `latestVersionUnstable: ${api.latestVersionUnstable === true},`,
    `flexibleFrom: ${flexibleFrom},`,
    `listeners: [${api.listeners.map(quote).join(', ')}],`,
    `clusterAction: ${api.clusterAction === true},`,
    `forwardable: ${api.forwardable === true},`,
    `requestHeaderVersion: (version) => ${headerVersion(flexibleFrom, max, min, 2, 1)},`,
    `responseHeaderVersion: (version) => ${responseHeaderVersion(api, flexibleFrom, max, min)},`,
    `decodeRequest: decode${name}Request,`,
    `encodeRequest: encode${name}Request,`,
    `decodeResponse: decode${name}Response,`,
    `encodeResponse: encode${name}Response,`,
    '}',
  ]
    .join('\n')
    .replace(/\(version\) => (\d),/g, '() => $1,')
}

/** Table of all APIs by key. */
export function emitApiTable(): string {
  const lines = [fileHeader('packages/protocol/src/schema')]
  for (const { key, name } of apiSchemas) {
    lines.push(`import { ${uncapitalize(name)}Api } from '../messages/${apiFileName(key, name)}.generated.ts'`)
  }
  lines.push(`import type { ApiDefinition } from './api-definition.ts'`, '')
  lines.push('/** Every API that has versions, by ascending key. */')
  lines.push('export const allApis: readonly ApiDefinition[] = [')
  for (const { name } of apiSchemas) lines.push(`${uncapitalize(name)}Api,`)
  lines.push(']', '')
  lines.push(
    '/** The same by key: `apis[key]`, undefined for keys that are unknown or whose versions were all removed. Hot path. */',
    'export const apis: readonly (ApiDefinition | undefined)[] = byKey(allApis)',
    '',
    'function byKey(definitions: readonly ApiDefinition[]): (ApiDefinition | undefined)[] {',
    'const table = new Array<ApiDefinition | undefined>(definitions.at(-1)!.key + 1).fill(undefined)',
    'for (const definition of definitions) table[definition.key] = definition',
    'return table',
    '}',
    '',
  )
  return lines.join('\n')
}

/** Constants of all API keys. */
export function emitApiKeys(): string {
  const all = [...apiSchemas.map(({ key, name }) => ({ key, name })), ...removedApis].sort((a, b) => a.key - b.key)
  return [
    fileHeader('packages/protocol/src/schema'),
    '/** API keys by name. Those whose versions were all removed are there for logs and tools. */',
    'export const ApiKey = {',
    ...all.map(({ key, name }) => `${upperSnakeCase(name)}: ${key},`),
    '} as const',
    '',
    'export type ApiKey = (typeof ApiKey)[keyof typeof ApiKey]',
    '',
  ].join('\n')
}

/** Error codes and what is known of each. */
export function emitErrors(): string {
  return [
    fileHeader('packages/protocol/src/schema/errors.ts'),
    `import type { ErrorInfo } from './error-info.ts'`,
    '',
    '/** Error codes of the protocol by name. */',
    'export const ErrorCode = {',
    ...errorSchemas.map(({ name, code }) => `${name}: ${code},`),
    '} as const',
    '',
    'export type ErrorCode = (typeof ErrorCode)[keyof typeof ErrorCode]',
    '',
    '/** By ascending code, from -1 without gaps. */',
    'export const errorInfos: readonly ErrorInfo[] = [',
    ...errorSchemas.map(
      ({ name, code, retriable, refreshMetadata, description }) =>
        `{ name: ${quote(name)}, code: ${code}, retriable: ${retriable === true}, refreshMetadata: ${refreshMetadata === true}, description: ${quote(description)} },`,
    ),
    ']',
    '',
  ].join('\n')
}

/** Table of the messages outside of requests. */
export function emitDataTable(messages: readonly ResolvedMessage[]): string {
  const byName = new Map(messages.map((message) => [message.name, message]))
  const lines = [fileHeader('packages/protocol/src/schema')]
  for (const family of dataFamilySchemas) {
    const names = family.messages.flatMap(({ name }) => [`decode${name}`, `encode${name}`]).sort()
    lines.push(`import { ${names.join(', ')} } from './${family.name}.generated.ts'`)
  }
  lines.push(`import type { DataDefinition } from './data-definition.ts'`, '')
  lines.push(
    '/** Every message outside of requests: headers, embedded data, records that Kafka stores. For tools that decode by type. */',
    'export const dataDefinitions: readonly DataDefinition[] = [',
  )
  for (const family of dataFamilySchemas) {
    for (const { name, kind } of family.messages) {
      const { key, versions } = byName.get(name)!
      lines.push(
        `{ name: ${quote(name)}, family: ${quote(family.name)}, kind: ${quote(kind)}, key: ${key}, framing: ${quote(framingOf(kind, family.name))}, minVersion: ${versions.min}, maxVersion: ${versions.max}, decode: decode${name}, encode: encode${name} },`,
      )
    }
  }
  lines.push(']', '')
  return lines.join('\n')
}

/** Re-exports of all generated message files. */
export function emitMessageIndex(): string {
  const files = [
    ...apiSchemas.map(({ key, name }) => apiFileName(key, name)),
    ...dataFamilySchemas.map(({ name }) => name),
  ]
  return [
    fileHeader('packages/protocol/src/schema'),
    `export type * from './data-definition.ts'`,
    `export * from './data-definitions.generated.ts'`,
    `export * from './data-framing.ts'`,
    ...files.sort().map((file) => `export * from './${file}.generated.ts'`),
    '',
  ].join('\n')
}

function framingOf(kind: DataSchema['kind'], family: string): string {
  if (kind === 'metadata') return 'metadata'
  if (kind === 'coordinator-key') return 'key'
  return kind === 'coordinator-value' || family === 'consumer-protocol' ? 'version' : 'none'
}

function headerVersion(flexibleFrom: number, max: number, min: number, flexible: number, legacy: number): string {
  if (flexibleFrom > max) return String(legacy)
  return flexibleFrom <= min ? String(flexible) : `(version >= ${flexibleFrom} ? ${flexible} : ${legacy})`
}

/** ApiVersions always answers with header 0: the client does not know yet what the broker understands (KIP-511). */
function responseHeaderVersion(api: ApiSchema, flexibleFrom: number, max: number, min: number): string {
  return api.name === 'ApiVersions' ? '0' : headerVersion(flexibleFrom, max, min, 1, 0)
}
