/** One broker process that a test owns. */
export interface Broker {
  readonly bootstrap: string
  readonly port: number
  readonly pid: number
  /** Where its files are; kept across `restart`. */
  readonly directory: string
  /** Asks it to stop (SIGTERM) and waits; fails if it does not exit with 0 within 30 s. */
  stop(): Promise<void>
  /** Ends it with SIGKILL, as a crash would, and waits until it is gone. Fails if it had ended by itself. */
  kill(): Promise<void>
  /** Waits until it is gone after the caller sent it SIGKILL, by its pid. */
  awaitKilled(): Promise<void>
  /** Starts it again on the same files and port. Pre: it was stopped or killed. */
  restart(): Promise<void>
  /** Starts it again and kills it so many milliseconds later, ready or not. Pre: it was stopped or killed. Fails if it ends by itself. */
  killWhileStarting(afterMs: number): Promise<void>
  /** Kills it if it runs and removes its files. Call it in every case. Fails if it had ended by itself: no test may pass then. */
  dispose(): Promise<void>
}

/** Broker settings by their names in a properties file. */
export type Settings = Readonly<Record<string, string>>
