import { type Mutation, mutationsIn } from './mutation.ts'

const inCoordinator = mutationsIn('packages/broker/src/coordinator', 'cluster')
const inShare = mutationsIn('packages/broker/src/share', 'cluster')

/** Mistakes in the newer groups: KIP-848 and KIP-932. */
export const groupMutations: readonly Mutation[] = [
  inCoordinator(
    'member epoch not checked at a commit',
    'group/member-check.ts',
    'return isToldOfGeneration ? ErrorCode.ILLEGAL_GENERATION : ErrorCode.STALE_MEMBER_EPOCH',
    'return ErrorCode.NONE',
  ),
  inCoordinator(
    'partition given before its former owner gave it up',
    'group/consumer/reconcile.ts',
    'if (owner === undefined || owner === member.memberId) assigned.add',
    'if (owner !== "nobody") assigned.add',
  ),
  inCoordinator(
    'partition taken away without being given up',
    'group/consumer/reconcile.ts',
    'const pendingRevocation = revoked.finish(current.pendingRevocation)\n    if (mayStillOwn(owned, pendingRevocation)) {',
    'const pendingRevocation = revoked.finish(current.pendingRevocation)\n    if (owned === member.assigned) {',
  ),
  inCoordinator(
    'what is to be given up is unknown to the next coordinator',
    'group/consumer/consumer-record-codec.ts',
    'pendingRevocation: epochsOf(value.partitionsPendingRevocation, memberEpoch)',
    'pendingRevocation: epochsOf([], memberEpoch)',
  ),
  inCoordinator(
    'session of a member is over too soon',
    'group/consumer/member-writes.ts',
    'step.schedule(sessionTimerKey(groupId, memberId), Math.max(0, timeoutMs), event, TIMER_RETRY_MS)',
    'step.schedule(sessionTimerKey(groupId, memberId), Math.max(0, timeoutMs / 3), event, TIMER_RETRY_MS)',
  ),
  inCoordinator(
    'member that is thrown out stays in its group',
    'group/consumer/consumer-replay.ts',
    'group.members.delete(record.memberId)',
    'group.members.has(record.memberId)',
  ),
  inShare(
    'what was said of a shared record answered before it is stored',
    'share-partition.ts',
    'this.#waiting.push({ ranges: moved, resolve })',
    'resolve(ErrorCode.NONE)\n    this.#waiting.push({ ranges: moved, resolve })',
  ),
  inShare(
    'shared record given to a second member',
    'window/acquire.ts',
    'if (!range.isReady) return end',
    'if (range.isFinal || range.transition !== null) return end',
  ),
  inShare(
    'locks of shared records never run out',
    'window/share-window.ts',
    'if (range.deadlineMs > nowMs) {',
    'if (isHeld || range.deadlineMs > nowMs) {',
  ),
  inShare(
    'deliveries of a shared record not counted',
    'window/share-window.ts',
    'range.deliveryCount++',
    'range.deliveryCount ||= 1',
  ),
  inShare(
    'deliveries of a shared record forgotten by the next leader',
    'window/share-window.ts',
    'new RecordRange(firstOffset, lastOffset + 1, state, deliveryCount)',
    'new RecordRange(firstOffset, lastOffset + 1, state, 0)',
  ),
  inShare(
    'shared record given up before its last delivery',
    'window/share-window.ts',
    'if (range.deliveryCount < this.#settings().deliveryCountLimit) return DeliveryState.AVAILABLE',
    'if (range.deliveryCount + 1 < this.#settings().deliveryCountLimit) return DeliveryState.AVAILABLE',
  ),
  inShare(
    'rejected shared record gets no dead letter',
    'window/acknowledge.ts',
    'return window.failureState',
    'return DeliveryState.ARCHIVED',
  ),
]
