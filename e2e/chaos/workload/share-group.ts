import { setTimeout as delay } from 'node:timers/promises'
import type { Admin, ShareGroupOffset } from '@millrace/client'
import { until } from '../../harness/until.ts'
import type { Key, ShareRules } from '../history/operation.ts'
import type { Recorder } from '../history/recorder.ts'
import { requestTimeoutMs, shareWaitMs } from './client-protocol.ts'
import { keyOf } from './knowledge.ts'

export const shareGroup = 'sharers'

/**
 * What the group goes by. Deliveries of which nobody hears, as where an answer is lost, count, too: the limit is the highest that Kafka
 * takes, so that what nobody was ever given is not excused by them. Locks run out soon, so that a short run sees many.
 */
export const shareRules: ShareRules = {
  deliveryLimit: 10,
  lockMs: 10_000,
  fetchMs: requestTimeoutMs + shareWaitMs + 700,
  maxPollRecords: 500,
}

const PREPARE_LIMIT_MS = 30_000
const WATCH_EVERY_MS = 1000
const ASK_EVERY_MS = 250

/** Gives the group its settings, before it has a member. */
export async function prepareShareGroup(admin: Admin): Promise<void> {
  const settings = {
    'share.auto.offset.reset': 'earliest',
    'share.isolation.level': 'read_committed',
    'share.record.lock.duration.ms': String(shareRules.lockMs),
    'share.delivery.count.limit': String(shareRules.deliveryLimit),
  }
  const operations = Object.entries(settings).map(([name, value]) => ({ op: 'set' as const, name, value }))
  await until(
    'the share group has its settings',
    async () => {
      const [altered] = await admin.alterConfigs([{ type: 'group', name: shareGroup, operations }], { timeoutMs: 5000 })
      if (altered?.error && !altered.error.retriable) throw altered.error
      return altered?.error === null
    },
    PREPARE_LIMIT_MS,
  )
}

/** Asks again and again, until the signal, how far the group is: the sooner it is known to be done with a record, the less can excuse it. */
export async function watchShares(admin: Admin, recorder: Recorder, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    await progressOf(admin, recorder, false)
    await delay(WATCH_EVERY_MS, undefined, { signal }).catch(() => undefined)
  }
}

/** Waits until the group is done with everything before these ends. False: it was not in time. */
export async function untilShared(
  admin: Admin,
  recorder: Recorder,
  ends: ReadonlyMap<Key, number>,
  limitMs: number,
): Promise<boolean> {
  const deadlineMs = recorder.nowMs + limitMs
  for (;;) {
    const found = (await progressOf(admin, recorder, true)) ?? []
    const isDone = ({ lag, startOffset }: ShareGroupOffset, end: number) =>
      lag === 0n || (startOffset !== null && Number(startOffset) >= end)
    const byKey = new Map(found.map((one) => [keyOf(one.topic, one.partition), one]))
    const all = [...ends].map(([key, end]) => ({ one: byKey.get(key), end }))
    if (all.every(({ one, end }) => one !== undefined && isDone(one, end))) return true
    if (recorder.nowMs > deadlineMs) return false
    await delay(ASK_EVERY_MS)
  }
}

/**
 * Asks the coordinator how far the group is, and records it. Null: nobody told. `isWhole`: nobody leads any more who should not, so an end
 * of a log that is told is the last one; else what is left up to it says nothing.
 */
async function progressOf(admin: Admin, recorder: Recorder, isWhole: boolean): Promise<ShareGroupOffset[] | null> {
  const id = recorder.invoke('onlooker', { kind: 'share-progress', group: shareGroup })
  try {
    const found = (await admin.listShareGroupOffsets(shareGroup, { timeoutMs: 3000 })).filter(
      ({ error }) => error === null,
    )
    recorder.complete(id, {
      outcome: 'ok',
      places: found.flatMap(({ topic, partition, startOffset }) =>
        startOffset === null ? [] : [{ key: keyOf(topic, partition), offset: Number(startOffset) }],
      ),
      drained: found.filter(({ lag }) => isWhole && lag === 0n).map(({ topic, partition }) => keyOf(topic, partition)),
    })
    return found
  } catch (error) {
    recorder.complete(id, { outcome: 'info', error: String(error) })
    return null
  }
}
