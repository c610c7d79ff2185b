import type { CliContext } from '../command/cli-context.ts'

/** Warns who asks for compaction: the setting is kept, and nobody would notice otherwise that nothing comes of it. */
export async function noteCompaction(
  context: CliContext,
  settings: Iterable<readonly [name: string, value: string]>,
): Promise<void> {
  for (const [name, value] of settings) {
    const isAsked = name === 'cleanup.policy' || name === 'log.cleanup.policy'
    if (!isAsked || !value.split(',').some((policy) => policy.trim() === 'compact')) continue
    await context.note(
      `millrace: warning: ${name}=${value} is kept, but Millrace brokers of this version compact nothing yet: only "delete" has an effect`,
    )
  }
}
