import {
  type Admin,
  type ClusterBroker,
  type LogDirDescription,
  type Outcome,
  UnsupportedVersionError,
} from '@millrace/client'

/** How a log directory of a broker is. */
export interface DirectoryState {
  readonly broker: number
  readonly directory: string
  readonly state: 'online' | 'full' | 'offline'
  /** Of the file system; null where the broker does not tell. */
  readonly totalBytes: bigint | null
  readonly usableBytes: bigint | null
}

/** What brokers say of their log directories. */
export interface DirectoryStates {
  readonly directories: readonly DirectoryState[]
  /** Brokers that did not tell, with the reason. */
  readonly untold: readonly { readonly broker: number; readonly reason: string }[]
}

/** One broker that hangs must not keep the state of all others from being told. */
const BROKER_TIMEOUT_MS = 10_000
/** With less than the smaller of these a broker whose disk was full does not take appends again. */
const RESERVE_BYTES_MAX = 64n * 1024n * 1024n
const RESERVE_SHARE = 20n

/** Asks each broker that serves. Never rejects for some of them; brokers without this API are passed over. */
export async function readDirectoryStates(
  admin: Admin,
  brokers: readonly ClusterBroker[],
  timeoutMs: number,
): Promise<DirectoryStates> {
  const asked = brokers.filter(({ isFenced }) => !isFenced).map(({ nodeId }) => nodeId)
  const limitMs = Math.min(timeoutMs, BROKER_TIMEOUT_MS)
  const directories: DirectoryState[] = []
  const untold: { broker: number; reason: string }[] = []
  await Promise.all(
    asked.map(async (broker) => {
      try {
        // No partitions: their sizes are of no interest here, and many.
        const found = await admin.describeLogDirs({ nodeIds: [broker], partitions: [], timeoutMs: limitMs })
        directories.push(...found.map(stateOf))
      } catch (error) {
        if (error instanceof UnsupportedVersionError) return
        untold.push({ broker, reason: error instanceof Error ? error.message : String(error) })
      }
    }),
  )
  directories.sort((a, b) => a.broker - b.broker || (a.directory < b.directory ? -1 : 1))
  return { directories, untold: untold.sort((a, b) => a.broker - b.broker) }
}

function stateOf({ nodeId, logDir, totalBytes, usableBytes, error }: Outcome<LogDirDescription>): DirectoryState {
  const place = { broker: nodeId, directory: logDir }
  if (error !== null) return { ...place, state: 'offline', totalBytes: null, usableBytes: null }
  if (totalBytes < 0n || usableBytes < 0n) return { ...place, state: 'online', totalBytes: null, usableBytes: null }
  const share = totalBytes / RESERVE_SHARE
  const reserve = share < RESERVE_BYTES_MAX ? share : RESERVE_BYTES_MAX
  return { ...place, state: usableBytes < reserve ? 'full' : 'online', totalBytes, usableBytes }
}
