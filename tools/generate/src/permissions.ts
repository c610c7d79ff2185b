import { existsSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { pathToFileURL } from 'node:url'
import { apiSchemas } from '@millrace/protocol/schema'

/** What a broker asks for: numbers of Kafka's operations, resources and errors. */
export interface Need {
  readonly operation: number
  readonly resourceType: number
  readonly errorCode: number
}

export type Needs = Readonly<Record<number, Readonly<Record<string, Need>>>>

/** Where the broker says which permissions its APIs need: a module that exports `NEEDS`. */
const NEEDS_MODULE = 'packages/broker/src/authorization/needs.ts'
const PAGE = 'docs/security.md'
const BEGIN = '<!-- needs: begin -->'
const END = '<!-- needs: end -->'

const OPERATIONS: Readonly<Record<number, string>> = {
  3: 'READ',
  4: 'WRITE',
  5: 'CREATE',
  6: 'DELETE',
  7: 'ALTER',
  8: 'DESCRIBE',
  9: 'CLUSTER_ACTION',
  10: 'DESCRIBE_CONFIGS',
  11: 'ALTER_CONFIGS',
  12: 'IDEMPOTENT_WRITE',
  15: 'TWO_PHASE_COMMIT',
}
const RESOURCES: Readonly<Record<number, string>> = { 2: 'TOPIC', 3: 'GROUP', 4: 'CLUSTER', 5: 'TRANSACTIONAL_ID' }
const ERRORS: Readonly<Record<number, string>> = { 29: 'TA', 30: 'GA', 31: 'CA', 53: 'XA' }

/** Content of `docs/security.md` with the table of today, or null where there is no such page. */
export async function securityDocument(root: string): Promise<string | null> {
  if (!existsSync(join(root, PAGE))) return null
  const { NEEDS } = (await import(pathToFileURL(join(root, NEEDS_MODULE)).href)) as { NEEDS: Needs }
  return withTable(readFileSync(join(root, PAGE), 'utf8'), NEEDS)
}

/** The page with what stands between its two marks replaced. Throws if it has none. */
export function withTable(page: string, needs: Needs): string {
  const [begin, end] = [page.indexOf(BEGIN), page.indexOf(END)]
  if (begin < 0 || end < begin) throw new Error(`${PAGE} has no place for the table of permissions`)
  return `${page.slice(0, begin + BEGIN.length)}\n\n${renderNeeds(needs)}\n\n${page.slice(end)}`
}

function renderNeeds(needs: Needs): string {
  const rows = apiSchemas.flatMap(({ key, name }) => {
    const wanted = Object.entries(needs[key] ?? {})
    if (wanted.length === 0) return []
    return [`| ${name} | ${wanted.map(([what, need]) => cell(what, need)).join('; ')} |`]
  })
  return ['| API | Needs, and the error without |', '| --- | --- |', ...rows].join('\n')
}

/** `TOPIC READ (topic) → TA`. Throws for a number without a name. */
function cell(what: string, { operation, resourceType, errorCode }: Need): string {
  const names = [RESOURCES[resourceType], OPERATIONS[operation], ERRORS[errorCode]]
  if (names.includes(undefined)) throw new Error(`need ${what} has a number without a name`)
  const [resource, verb, error] = names
  const words = what.replace(/[A-Z]/g, (letter) => ` ${letter.toLowerCase()}`)
  const about = words === resource!.toLowerCase() ? '' : ` (${words})`
  return `${resource} ${verb}${about} → ${error}`
}
