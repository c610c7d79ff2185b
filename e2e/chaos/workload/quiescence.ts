import { setTimeout as delay } from 'node:timers/promises'
import type { Admin } from '@millrace/client'
import type { Key, Place } from '../history/operation.ts'
import type { Recorder } from '../history/recorder.ts'
import type { ClientProgram } from './client-program.ts'
import { type Knowledge, keyOf, partitionOf } from './knowledge.ts'
import { RecordedClient } from './recorded-client.ts'

/** What must be done once nobody sends any more, before logs can be read to their ends. */
export interface QuiescenceOptions {
  readonly admin: Admin
  readonly recorder: Recorder
  readonly keys: readonly Key[]
  readonly limitMs: number
}

const ASK_EVERY_MS = 250

/**
 * Waits until readers of committed records get as far as all others: every transaction has ended. What it is told is recorded, so that the
 * checker sees one that hangs. False: it does when the time is over, or nobody told.
 */
export async function untilTransactionsEnd({ admin, recorder, keys, limitMs }: QuiescenceOptions): Promise<boolean> {
  const deadlineMs = recorder.nowMs + limitMs
  for (;;) {
    const all = await endsOf(admin, recorder, keys, 'read_uncommitted')
    const committed = all && (await endsOf(admin, recorder, keys, 'read_committed'))
    const offsets = new Map(committed?.map(({ key, offset }) => [key, offset]))
    if (all?.every(({ key, offset }) => (offsets.get(key) ?? -1) >= offset)) return true
    if (recorder.nowMs > deadlineMs) return false
    await delay(ASK_EVERY_MS)
  }
}

/** Null: nobody told. */
async function endsOf(
  admin: Admin,
  recorder: Recorder,
  keys: readonly Key[],
  isolation: 'read_committed' | 'read_uncommitted',
): Promise<Place[] | null> {
  const asked = keys.map((key) => {
    const [topic, partition] = partitionOf(key)
    return { topic, partition, spec: 'latest' as const }
  })
  const id = recorder.invoke('onlooker', { kind: 'ends', isolation })
  try {
    const found = await admin.listOffsets(asked, { isolationLevel: isolation, timeoutMs: 10_000 })
    const places = found.map(({ topic, partition, offset }) => ({
      key: keyOf(topic, partition),
      offset: Number(offset),
    }))
    recorder.complete(id, { outcome: 'ok', places })
    return places
  } catch (error) {
    recorder.complete(id, { outcome: 'info', error: String(error) })
    return null
  }
}

/**
 * Sends a last record to each log. Behind markers, which nobody reads, no reader could tell that it is at the end; and whoever reads only
 * what was committed comes to this record only if all transactions before it have ended. Answers the offsets behind these records, of all
 * logs that took one in time.
 */
export async function seal(
  program: ClientProgram,
  recorder: Recorder,
  knowledge: Knowledge,
  keys: readonly Key[],
  limitMs: number,
): Promise<Map<Key, number>> {
  const deadlineMs = recorder.nowMs + limitMs
  const name = `seal-${keys[0]}`
  const client = new RecordedClient({ name, group: name }, program, recorder, knowledge)
  const ends = new Map<Key, number>()
  let isOpen = false
  for (let tries = 0; ends.size < keys.length && recorder.nowMs < deadlineMs; tries++) {
    if (!isOpen || client.isLost) isOpen = await client.open()
    // An offset may stay unknown to a client whose first answer was lost; then the next record is the last one.
    const open = keys.filter((key) => !ends.has(key))
    const offsets = await Promise.all(open.map((key) => client.send(key, `${client.process}:${tries}`)))
    for (const [slot, key] of open.entries()) {
      const offset = offsets[slot] ?? null
      if (offset !== null) ends.set(key, offset + 1)
    }
  }
  if (isOpen) await client.close()
  return ends
}

/** Waits until a group has committed these offsets, or later ones. False: it had not in time. */
export async function untilProcessed(
  { admin, recorder, limitMs }: QuiescenceOptions,
  group: string,
  ends: ReadonlyMap<Key, number>,
): Promise<boolean> {
  const deadlineMs = recorder.nowMs + limitMs
  for (;;) {
    const found = await admin.listGroupOffsets(group, { requireStable: true, timeoutMs: 5000 }).catch(() => [])
    const committed = new Map(found.map(({ topic, partition, offset }) => [keyOf(topic, partition), Number(offset)]))
    if ([...ends].every(([key, end]) => (committed.get(key) ?? -1) >= end)) return true
    if (recorder.nowMs > deadlineMs) return false
    await delay(ASK_EVERY_MS)
  }
}
