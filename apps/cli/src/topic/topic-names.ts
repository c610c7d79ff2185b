import type { Admin, TopicListing } from '@millrace/client'
import { CliError, usageError } from '../command/cli-error.ts'

/**
 * The topics that arguments name: a name, or a pattern between slashes that has to match the whole name (`/orders-[0-9]+/`). A pattern
 * that matches nothing is an error; names are not looked up. Sorted, each once.
 */
export async function resolveTopics(admin: Admin, texts: readonly string[]): Promise<string[]> {
  const names = new Set<string>()
  let listing: TopicListing[] | null = null
  for (const text of texts) {
    const pattern = patternOf(text)
    if (pattern === null) {
      names.add(text)
      continue
    }
    listing ??= await admin.listTopics({ includeInternal: false })
    const matches = listing.filter(({ name }) => pattern.test(name))
    if (matches.length === 0)
      throw new CliError(`no topic matches ${text}`, { hint: '"millrace topic list" shows the topics.' })
    for (const { name } of matches) names.add(name)
  }
  return [...names].sort()
}

/** The pattern of `/…/`, or null for a name. Throws a usage error for a bad pattern. */
export function patternOf(text: string): RegExp | null {
  if (!text.startsWith('/') || !text.endsWith('/') || text.length < 2) return null
  try {
    return new RegExp(`^(?:${text.slice(1, -1)})$`)
  } catch (error) {
    throw usageError(`${text}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/**
 * How long brokers may deny a topic that a command reads. One that was just created takes a moment to be known everywhere; a name
 * that was mistyped should not cost the whole `--timeout`.
 */
export const UNKNOWN_TOPIC_LIMIT_MS = 1000
