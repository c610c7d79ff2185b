import { Consumer, type ConsumerRecord } from '@millrace/client'
import { must } from '../../world/violation.ts'
import type { World } from '../../world/world.ts'
import type { ClientSeat } from '../client-host.ts'
import { JOBS } from './jobs.ts'
import type { ShareGhost } from './share-ghost.ts'

export const DEAD_LETTERS = 'dlq.jobs'

/** Reads the topic of dead letters to its end: offsets of records that have one, by partition. */
export async function readDeadLetters({ options }: ClientSeat): Promise<Map<number, Set<number>>> {
  const consumer = new Consumer({ ...options, autoOffsetReset: 'earliest', enableAutoCommit: false })
  const place = { topic: DEAD_LETTERS, partition: 0 }
  const [end] = await consumer.findOffsets([place], 'latest')
  consumer.assign([{ ...place, start: 0 }])
  const found = new Map<number, Set<number>>()
  for (let next = 0n; next < (end?.offset ?? 0n); ) {
    for (const { records, nextOffset } of await consumer.poll({ timeoutMs: 1_000 })) {
      for (const record of records) {
        if (headerOf(record, 'topic') !== JOBS) continue
        const partition = Number(headerOf(record, 'partition'))
        const offsets = found.get(partition) ?? new Set<number>()
        offsets.add(Number(headerOf(record, 'offset')))
        found.set(partition, offsets)
      }
      next = nextOffset
    }
  }
  await consumer.close()
  return found
}

function headerOf({ headers }: ConsumerRecord, name: string): string {
  return headers.find(({ key }) => key === `__dlq.errors.${name}`)?.value?.toString() ?? ''
}

/** H5: of a record that nobody ever said was accepted there is a dead letter. `acked`: offsets of records that there are, by partition. */
export function checkDeadLetters(
  world: World,
  ghost: ShareGhost,
  acked: ReadonlyMap<number, ReadonlySet<number>>,
  letters: ReadonlyMap<number, ReadonlySet<number>>,
): void {
  for (const [partition, offsets] of acked) {
    for (const offset of offsets) {
      if (ghost.wasAccepted(partition, offset)) continue
      world.judge('H5')
      world.mark('dead letter of a shared record')
      must(letters.get(partition)?.has(offset) === true, 'H5', () => {
        return `record ${offset} of partition ${partition} was given up and has no dead letter`
      })
    }
  }
}
