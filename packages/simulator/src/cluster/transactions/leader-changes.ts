import { Admin } from '@millrace/client'
import { ClientProcess } from './client-process.ts'
import { TRANSFER_PLACES } from './places.ts'
import type { TransactionCast } from './transaction-cast.ts'

const CHANGE_EVERY_MS = 5_000
const TIMEOUT_MS = 4_000
const PLACES = [{ topic: '__transaction_state', partition: 0 }, ...TRANSFER_PLACES]

/**
 * An administrator who has other nodes lead, while those that led are well and in the middle of transactions: deaths alone would leave
 * nobody who does not know that he was replaced.
 */
export async function changeLeaders(cast: TransactionCast): Promise<void> {
  const { host, options, random, isOver } = cast
  const process = new ClientProcess(host, 'leader-changer')
  const admin = new Admin(process.options)
  const nodes = Array.from({ length: options.nodeCount }, (_, id) => id)
  for (;;) {
    await process.pass(random.exponential(CHANGE_EVERY_MS), 'change')
    if (isOver()) return
    const place = random.pick(PLACES)
    await process.call(
      'change of a leader',
      async () => {
        const limits = { timeoutMs: TIMEOUT_MS }
        const [reassigned] = await admin.alterReassignments([{ ...place, replicas: random.shuffled(nodes) }], limits)
        if (reassigned?.error != null) throw reassigned.error
        const [elected] = await admin.electLeaders('preferred', [place], limits)
        if (elected?.error != null) throw elected.error
      },
      REFUSALS,
    )
  }
}

/** It leads already, does not live, or nobody has had a transaction yet. */
const REFUSALS: ReadonlySet<string> = new Set([
  'ELECTION_NOT_NEEDED',
  'INVALID_REPLICA_ASSIGNMENT',
  'PREFERRED_LEADER_NOT_AVAILABLE',
  'UNKNOWN_TOPIC_OR_PARTITION',
])
