/** The node's loggers, as far as they can be set while it runs. */
export interface LoggerLevels {
  /** Level in upper case by logger name. `root` is always there. */
  levels(): ReadonlyMap<string, string>
  setLevel(logger: string, level: string): void
  /** The logger takes the root's level again. */
  unsetLevel(logger: string): void
}

export const ROOT_LOGGER = 'root'

/** Levels that can be set. */
export const LOG_LEVELS: readonly string[] = ['DEBUG', 'ERROR', 'FATAL', 'INFO', 'TRACE', 'WARN']
