import { DiskError, type Uuid } from '@millrace/base'
import type { MetadataImage, TopicImage } from '@millrace/consensus'
import type { Log, LogManager } from '@millrace/storage'
import type { Logger } from '../logger.ts'

/** Of logs that are set aside, so many are named. */
const STRAYS_NAMED = 10

interface Ports {
  readonly logs: LogManager
  readonly logger: Logger
}

/**
 * Of a start: the logs that are no partition's (not in `hosted`). Sets aside those without a place in the metadata (S10), with one line for
 * all: of a topic that went, there may be thousands. Returns those that are to be removed, as logs of topics that were deleted just before
 * the end of the last process. `removedTopics`: names of such topics by id. `areSomeLost`: partitions miss their logs, which may be among
 * these. Throws `DiskError`.
 */
export function settleUnknownLogs(
  { logs, logger }: Ports,
  image: MetadataImage,
  removedTopics: ReadonlyMap<Uuid, string>,
  hosted: ReadonlyMap<Log, unknown>,
  areSomeLost: boolean,
): Log[] {
  const doomed: Log[] = []
  const strays: Log[] = []
  for (const log of logs.logs()) {
    if (hosted.has(log)) continue
    // By its name, too, and no other topic has that now: what a log says of its topic may be damaged.
    if (removedTopics.get(log.topicId) === log.topic && !image.topics.has(log.topic)) doomed.push(log)
    else strays.push(log)
  }
  if (doomed.length > 0) logger.info('logs of deleted topics are removed', { count: doomed.length })
  if (strays.length === 0) return doomed
  const sizeBytes = strays.reduce((sum, log) => sum + log.sizeBytes, 0)
  const movedTo = strays.map((log) => logs.setAsideStray(log)).slice(0, STRAYS_NAMED)
  const details = { count: strays.length, sizeBytes, movedTo }
  const advice = areSomeLost ? 'those of lost partitions may be among them' : 'they may be removed'
  logger.warn(`logs without a place in the metadata are set aside; ${advice}`, details)
  return doomed
}

/**
 * Of a lost log that is begun anew, empty, since this node was elected without it: what its future log has is all that is left here, and
 * would be cut to what the new one has.
 */
export function setFutureAside({ logs, logger }: Ports, topic: TopicImage, partition: number): void {
  const future = logs.futures.get(topic.name, partition)
  if (future?.topicId !== topic.id) return
  logs.futures.forget(future)
  try {
    const movedTo = logs.setAsideStray(future)
    logger.warn('the future log of a lost one is set aside', { topic: topic.name, partition, movedTo })
  } catch (error) {
    // The directory has failed, and its logs with it.
    if (!(error instanceof DiskError)) throw error
  }
}
