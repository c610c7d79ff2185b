import { DiskError } from '@millrace/base'
import { isOutOfDescriptors } from './open-segments.ts'

/**
 * Does `task` for all items at once; resolves when every one has ended. Where some fail, rejects with one of their errors, one that is
 * final before one that may be tried again (EMFILE): who tries again would otherwise never hear of the other, and a second sync of the
 * same file finds nothing wrong (S7).
 */
export async function settleAll<Item>(items: readonly Item[], task: (item: Item) => Promise<unknown>): Promise<void> {
  // Each behind a promise of its own: one that throws at once must not keep the others from being heard.
  const results = await Promise.allSettled(items.map(async (item) => task(item)))
  const errors: unknown[] = results.flatMap((result) => (result.status === 'rejected' ? [result.reason] : []))
  if (errors.length > 0) throw errors.find((error) => !isTemporary(error)) ?? errors[0]
}

/** Whether nothing was done for want of a descriptor: whoever wanted it tries again. Everything else is told to the directory. */
export function isTemporary(error: unknown): boolean {
  return error instanceof DiskError && isOutOfDescriptors(error)
}
