import { DiskError } from '@millrace/base'
import { isOutOfDescriptors } from './open-segments.ts'

/**
 * Does `task` for all items at once; resolves when every one has ended. Rejects with an error that is final as soon as there is one: while
 * the others are waited for, the directory would go on (S7). One that may be tried again (EMFILE) is told when all have ended: who tries
 * again would otherwise never hear of a final one, and a second sync of the same file finds nothing wrong.
 */
export async function settleAll<Item>(items: readonly Item[], task: (item: Item) => Promise<unknown>): Promise<void> {
  const putOff: unknown[] = []
  await Promise.all(
    // Each behind a promise of its own: one that throws at once must not keep the others from being heard.
    items.map(async (item) => {
      try {
        await task(item)
      } catch (error) {
        if (!isTemporary(error)) throw error
        putOff.push(error)
      }
    }),
  )
  if (putOff.length > 0) throw putOff[0]
}

/** Whether nothing was done for want of a descriptor: whoever wanted it tries again. Everything else is told to the directory. */
export function isTemporary(error: unknown): boolean {
  return error instanceof DiskError && isOutOfDescriptors(error)
}
