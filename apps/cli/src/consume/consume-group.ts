import { type Consumer, type ConsumerBatch, ProtocolError } from '@millrace/client'
import type { CliContext } from '../command/cli-context.ts'
import { usageError } from '../command/cli-error.ts'
import { orAborted } from '../io/or-aborted.ts'
import { patternOf, UNKNOWN_TOPIC_LIMIT_MS } from '../topic/topic-names.ts'
import type { ConsumeOptions } from './consume-options.ts'
import { GroupEnds } from './group-ends.ts'
import type { RecordSink } from './record-sink.ts'

/** How soon it is noticed that there is nothing to read. */
const POLL_MS = 200

/**
 * Reads as a member of a group, until the sink is full or (with `--exit`) every partition that the member has is read up to where it ended
 * when it was assigned; then commits what was shown. False if it was broken off before: closing the consumer commits then.
 */
export async function consumeGroup(
  context: CliContext,
  consumer: Consumer,
  topics: readonly string[],
  options: ConsumeOptions,
  sink: RecordSink,
): Promise<boolean> {
  const { signal, stdout, clock } = context.io
  const ends = options.exit ? new GroupEnds(consumer, clock) : null
  await orAborted(subscribe(consumer, topics, ends), signal)
  while (!signal.aborted) {
    // Both may have been said before a rebalance that had to be waited for.
    if (sink.isFull) consumer.pause(consumer.assignment())
    const batches = await consumer.poll({ signal, timeoutMs: POLL_MS })
    for (const batch of batches) show(consumer, batch, ends, sink)
    await sink.flush()
    if (stdout.isClosed) {
      for (const batch of batches) consumer.seek(batch, batch.records[0]!.offset)
      return false
    }
    const isDone = sink.isFull || (ends !== null && (await ends.areReached()))
    if (isDone && (!options.commit || (await commitPositions(consumer)))) {
      if (ends?.isWithoutPartitions) await context.note('The other members of the group have all partitions.')
      return true
    }
  }
  return false
}

async function subscribe(consumer: Consumer, topics: readonly string[], ends: GroupEnds | null): Promise<void> {
  const patterns = topics.map(patternOf)
  const pattern = patterns.find((one) => one !== null)
  if (pattern !== undefined && topics.length > 1) throw usageError('a group takes names, or one pattern')
  if (pattern === undefined) {
    for (const topic of topics) await consumer.partitionsOf(topic, { unknownLimitMs: UNKNOWN_TOPIC_LIMIT_MS })
  }
  consumer.subscribe(pattern ?? topics, ends?.listener ?? {})
}

/** Shows what is wanted of a batch; with the rest reading would go on, so that nothing is committed that was not shown. */
function show(consumer: Consumer, batch: ConsumerBatch, ends: GroupEnds | null, sink: RecordSink): void {
  const endOffset = ends?.endOf(batch) ?? null
  for (const record of batch.records) {
    if (sink.isFull || (endOffset !== null && record.offset >= endOffset)) {
      consumer.seek(batch, record.offset)
      return
    }
    sink.take(record)
  }
}

/** Commits the positions: of all that was shown. False: the group takes no commits while it rebalances, poll first. */
async function commitPositions(consumer: Consumer): Promise<boolean> {
  try {
    await consumer.commit()
    return true
  } catch (error) {
    if (!(error instanceof ProtocolError) || error.code !== 'REBALANCE_IN_PROGRESS') throw error
    return false
  }
}
