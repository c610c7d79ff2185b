import type { Offset, ProducerId } from '@millrace/base'
import type { Step } from './step.ts'

/** Where a record stands in the log, or will stand if its append succeeds. */
export interface RecordPosition {
  readonly offset: Offset
  /** -1: not part of a transaction. */
  readonly producerId: ProducerId
  readonly producerEpoch: number
}

/**
 * The state machine of one partition of an internal topic. Pure: it reads no clock, sets no timer and touches no log; all that it
 * wants done it puts into the {@link Step} it is given. Its state must be a function of the records applied, apart from what
 * it documents as living in memory only. What must be rolled back when an append fails lives in `TimelineMap`s.
 */
export interface Coordinator<Record, Event, Reply> {
  /** Changes the state by one record: from the log while loading, or one that a step of this machine has just written. */
  apply(record: Record, position: RecordPosition): void
  /** A transaction's marker stands in the log: its pending records count from now on, or are dropped. */
  endTransaction(producerId: ProducerId, committed: boolean): void
  /** All of the log was applied. The first step: timers of what was loaded are set here. */
  onLoaded(step: Step<Record, Event, Reply>): void
  /** The last step: parked requests get their answer. Its records and timers are ignored. */
  onUnloaded(step: Step<Record, Event, Reply>): void
  /** A timer fired. */
  onTimer(event: Event, step: Step<Record, Event, Reply>): void
  /** The write of a step with a continuation is committed (error code 0) or has failed with an error of the log. */
  onWriteDone(event: Event, errorCode: number, step: Step<Record, Event, Reply>): void
}

/** A record as the log holds it. */
export interface EncodedRecord {
  readonly key: Buffer
  /** Null: the key is deleted. */
  readonly value: Buffer | null
}

/** Turns a machine's records into those of the log, and back. */
export interface RecordCodec<Record> {
  encode(record: Record): EncodedRecord
  /**
   * Null: a type that this codec does not know. Throws `MalformedMessageError` for bytes that no record has, `UnsupportedVersionError` for
   * a later version's. What it gives the machine can apply, whoever wrote it.
   */
  decode(key: Buffer, value: Buffer | null): Record | null
}
