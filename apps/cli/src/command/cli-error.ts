import { ConfigurationError } from '@millrace/base'
import {
  ArgumentError,
  ConnectionError,
  ProtocolError,
  RecordTooLargeError,
  TimeoutError,
  UnreadableRecordError,
  UnsupportedVersionError,
} from '@millrace/client'

/** What the process ends with. */
export const ExitCode = {
  OK: 0,
  /** It failed. */
  ERROR: 1,
  /** The command line is wrong; nothing was done. */
  USAGE: 2,
  /** Some of several things failed, or something is unhealthy. */
  PARTIAL: 3,
  /** Ended by Ctrl-C before it was done. */
  INTERRUPTED: 130,
} as const

/** A failure with words for the user: what is wrong and what may help. */
export class CliError extends Error {
  readonly exitCode: number
  readonly hint: string | null

  constructor(message: string, options: { exitCode?: number; hint?: string; cause?: unknown } = {}) {
    super(message, { cause: options.cause })
    this.name = 'CliError'
    this.exitCode = options.exitCode ?? ExitCode.ERROR
    this.hint = options.hint ?? null
  }
}

/** A wrong command line. */
export function usageError(message: string, hint?: string): CliError {
  return new CliError(message, { exitCode: ExitCode.USAGE, ...(hint === undefined ? {} : { hint }) })
}

/** Turns what a command threw into words: what failed, where, and what to do. */
export function explain(error: unknown, bootstrapServers: string): CliError {
  if (error instanceof CliError) return error
  if (error instanceof ConfigurationError) return usageError(error.message)
  const root = rootOf(error)
  if (root instanceof ConnectionError) {
    return new CliError(`cannot reach ${bootstrapServers}: ${root.message}`, {
      hint: 'Is a broker running there? Name another with --bootstrap-server HOST:PORT, or start one with "millrace start".',
      cause: error,
    })
  }
  if (root instanceof ProtocolError) {
    return new CliError(messageOf(error), { ...hintFor(root), cause: error })
  }
  // Names of the client's arguments and settings mean nothing on a command line.
  if (root instanceof ArgumentError) return new CliError(root.reason, { cause: error })
  if (root instanceof RecordTooLargeError) {
    return new CliError(`a record of ${root.sizeBytes} bytes is larger than ${root.limitBytes} bytes, the limit here`, {
      hint: 'Raise it with --max-record, for example --max-record 10MiB; topics have a limit too: max.message.bytes.',
      cause: error,
    })
  }
  if (root instanceof UnreadableRecordError) {
    const { topic, partition, offset } = root
    return new CliError(root.message, {
      hint:
        `The broker's file is damaged there: "millrace dump DATA-DIR/${topic}-${partition}" shows where the next batch begins. ` +
        `Go on behind it with -p ${partition} --from OFFSET, above ${offset}.`,
      cause: error,
    })
  }
  if (root instanceof UnsupportedVersionError) {
    return new CliError(root.message, { hint: 'The broker is too old for this command.', cause: error })
  }
  if (root instanceof TimeoutError) {
    return new CliError(root.message, { hint: 'Wait longer with --timeout, for example --timeout 2m.', cause: error })
  }
  return new CliError(messageOf(error), { cause: error })
}

/** Why it is of no use to look for another user. */
const ALL_ARE_ANONYMOUS =
  'Millrace brokers know every client as User:ANONYMOUS, at the address from which it comes (docs/security.md).'

/** What to do about errors that users meet. */
const HINTS: Readonly<Record<string, string>> = {
  UNKNOWN_TOPIC_OR_PARTITION: '"millrace topic list" shows the topics that there are.',
  TOPIC_ALREADY_EXISTS: 'Use --if-not-exists if that is fine.',
  INVALID_TOPIC_EXCEPTION: 'Names have letters, digits, ".", "_" and "-", and at most 249 of them.',
  INVALID_REPLICATION_FACTOR: 'There must be at least as many brokers as replicas.',
  MESSAGE_TOO_LARGE: 'Topics have a limit: "millrace config set topic NAME max.message.bytes=N" changes it.',
  GROUP_ID_NOT_FOUND: '"millrace group list" shows the groups that there are.',
  INCONSISTENT_GROUP_PROTOCOL:
    '"millrace group list" shows its type: only a consumer group whose members assign as this one does takes it in. Members of share groups are other programs (docs/queues.md).',
  NON_EMPTY_GROUP: 'Stop the members of the group first; "millrace group describe" shows them.',
  UNKNOWN_MEMBER_ID: 'The group has members. Stop them first; "millrace group describe" shows them.',
  REASSIGNMENT_IN_PROGRESS: '"millrace cluster reassign --list" shows what is being moved; --cancel ends it.',
  PREFERRED_LEADER_NOT_AVAILABLE:
    'The first replica is not in sync or does not run: "millrace topic describe" shows it.',
  ELIGIBLE_LEADERS_NOT_AVAILABLE:
    'Start the brokers that were in sync last ("millrace topic describe" shows them). If they are lost for good: --unclean, which loses records.',
  BROKER_ID_NOT_REGISTERED: '"millrace cluster status" shows the brokers.',
  GROUP_AUTHORIZATION_FAILED: `"millrace acl list --group ID --match" shows the rules. ${ALL_ARE_ANONYMOUS}`,
  CLUSTER_AUTHORIZATION_FAILED: `"millrace acl list --cluster" shows the rules to those who may see them. ${ALL_ARE_ANONYMOUS}`,
  LOG_DIR_NOT_FOUND:
    'A directory is named by its absolute path, as "millrace cluster log-dirs --broker ID" shows it; "." and other relative ones never fit.',
  SECURITY_DISABLED:
    'The brokers have no authorizer: set authorizer.class.name and start them again (docs/security.md).',
}

function hintFor(error: ProtocolError): { hint?: string } {
  const hint = error.code === 'TOPIC_AUTHORIZATION_FAILED' ? topicRulesHint(error.topic) : HINTS[error.code]
  return hint === undefined ? {} : { hint }
}

function topicRulesHint(topic: string | null | undefined): string {
  return `"millrace acl list --topic ${topic ?? 'NAME'} --match" shows the rules. ${ALL_ARE_ANONYMOUS}`
}

/** The first cause: a time limit says less than the failure that was tried again until it ended. */
function rootOf(error: unknown): unknown {
  let root = error
  while (root instanceof TimeoutError && root.cause instanceof Error) root = root.cause
  return root
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error)
}
