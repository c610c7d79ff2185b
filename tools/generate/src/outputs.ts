import { allMessages, apiSchemas, dataFamilySchemas, type ResolvedMessage } from '@millrace/protocol/schema'
import { emitFile } from './emit-file.ts'
import {
  apiFileName,
  emitApiDefinition,
  emitApiKeys,
  emitApiTable,
  emitDataTable,
  emitErrors,
  emitMessageIndex,
} from './emit-tables.ts'

const PROTOCOL = 'packages/protocol/src'

/** Every generated TypeScript file, not formatted yet, by path from the root of the repository. */
export function generatedSources(): Map<string, string> {
  const messages = allMessages()
  const byName = new Map(messages.map((message) => [message.name, message]))
  const pick = (name: string): ResolvedMessage => byName.get(name)!
  const files = new Map<string, string>()
  for (const api of apiSchemas) {
    const file = apiFileName(api.key, api.name)
    const pair = [pick(`${api.name}Request`), pick(`${api.name}Response`)]
    const imports = [`import type { ApiDefinition } from '../api/api-definition.ts'`]
    const content = emitFile(`${PROTOCOL}/schema/${file}.ts`, pair, emitApiDefinition(api), imports)
    files.set(`${PROTOCOL}/messages/${file}.generated.ts`, content)
  }
  for (const family of dataFamilySchemas) {
    const content = emitFile(
      `${PROTOCOL}/schema/${family.name}.ts`,
      family.messages.map(({ name }) => pick(name)),
      '',
      [],
    )
    files.set(`${PROTOCOL}/messages/${family.name}.generated.ts`, content)
  }
  files.set(`${PROTOCOL}/messages/data-definitions.generated.ts`, emitDataTable(messages))
  files.set(`${PROTOCOL}/messages/index.generated.ts`, emitMessageIndex())
  files.set(`${PROTOCOL}/api/apis.generated.ts`, emitApiTable())
  files.set(`${PROTOCOL}/api/api-key.generated.ts`, emitApiKeys())
  files.set(`${PROTOCOL}/errors/error-code.generated.ts`, emitErrors())
  return files
}
