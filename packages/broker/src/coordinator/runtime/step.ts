import type { TimestampMs } from '@millrace/base'

/** Names a request whose answer a state machine holds back. Unique within a process. */
export type ReplyToken = number

/** A timer to set or, with `event` null, to cancel. */
export interface TimerCommand<Event> {
  readonly key: string
  readonly delayMs: number
  readonly event: Event | null
  /** If the write that the timer causes fails, the timer is set again after this time; null: it is not. */
  readonly retryDelayMs: number | null
  /** A timer that is set under the key already stays as it is. */
  readonly onlyIfAbsent?: boolean
}

/** A line for the broker's log. */
export interface StepNote {
  readonly message: string
  readonly fields: Record<string, unknown>
}

/** An answer to release to a parked request. */
export interface ParkedReply<Reply> {
  readonly token: ReplyToken
  readonly reply: Reply
}

/**
 * What one step of a coordinator's state machine wants done: the only way in which a machine reaches the world. The runtime
 * opens a step, hands it to the machine, and then, in this order, carries out the timer commands, logs the notes, releases the
 * replies, and writes the records. A step is used once.
 */
export class Step<Record, Event, Reply> {
  /** Wall clock time of the step. The machine has no other clock. */
  readonly nowMs: TimestampMs
  readonly records: Record[] = []
  /** Parallel to `records`: whether the machine changed its state for the record already, so that it must not be applied again. */
  readonly alreadyApplied: boolean[] = []
  readonly timers: TimerCommand<Event>[] = []
  readonly notes: StepNote[] = []
  readonly replies: ParkedReply<Reply>[] = []
  /** Given back to the machine once this step's write is committed or has failed. */
  continuation: Event | null = null
  /** Records of one step go into one batch, all or nothing, unless the machine allows otherwise. */
  splittable = false

  constructor(nowMs: TimestampMs) {
    this.nowMs = nowMs
  }

  /** Writes a record, which the runtime applies to the machine when the machine's own work of this step is done. */
  write(record: Record): void {
    this.records.push(record)
    this.alreadyApplied.push(false)
  }

  /** Writes a record of a change that the machine has made to its state itself. */
  writeApplied(record: Record): void {
    this.records.push(record)
    this.alreadyApplied.push(true)
  }

  /** Sets a timer, in place of any other under the same key. */
  schedule(key: string, delayMs: number, event: Event, retryDelayMs: number | null = null): void {
    this.timers.push({ key, delayMs, event, retryDelayMs })
  }

  /** Sets a timer unless there is one under the same key. */
  scheduleIfAbsent(key: string, delayMs: number, event: Event, retryDelayMs: number | null = null): void {
    this.timers.push({ key, delayMs, event, retryDelayMs, onlyIfAbsent: true })
  }

  cancel(key: string): void {
    this.timers.push({ key, delayMs: 0, event: null, retryDelayMs: null })
  }

  /** Tells whoever runs the broker what happened, whatever becomes of this step's records. */
  note(message: string, fields: StepNote['fields']): void {
    this.notes.push({ message, fields })
  }

  /** Answers a parked request at once, whatever becomes of this step's records. */
  reply(token: ReplyToken, reply: Reply): void {
    this.replies.push({ token, reply })
  }
}
