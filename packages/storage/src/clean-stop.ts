import { type Disk, DiskError } from '@millrace/base'
import { replaceFile } from './atomic-file.ts'
import { CLEAN_SHUTDOWN_FILE } from './file-names.ts'

/**
 * Who stopped the log directory cleanly: this broker, whose durable mark then has an entry for each log that says so, or another one,
 * which knows nothing of the mark. Null: nobody, as far as can be told.
 */
export type CleanStop = 'ours' | 'anyone' | null

/** Kafka reads the first two, and passes over what it does not know; it writes the file anew, without the third. */
const CONTENTS = /^\{"version":0,"brokerEpoch":(-1|\d{1,15}),"durableMark":true\}$/

/**
 * Reads who stopped the directory, and in which registration of the broker with its cluster (-1: none, or not known); the file stays until
 * {@link endCleanStop}. Throws `DiskError`.
 */
export function readCleanStop(disk: Disk, directory: string): { stop: CleanStop; brokerEpoch: number } {
  const path = `${directory}/${CLEAN_SHUTDOWN_FILE}`
  if (disk.stat(path) === null) return { stop: null, brokerEpoch: -1 }
  try {
    const [, epoch] = CONTENTS.exec(disk.readFile(path).toString('latin1')) ?? []
    return epoch === undefined ? { stop: 'anyone', brokerEpoch: -1 } : { stop: 'ours', brokerEpoch: Number(epoch) }
  } catch (error) {
    if (!(error instanceof DiskError)) throw error
    // That it is there is all that Kafka asks.
    return { stop: 'anyone', brokerEpoch: -1 }
  }
}

/** Before any log of the directory may change, durably. Throws `DiskError`. */
export function endCleanStop(disk: Disk, directory: string): void {
  disk.removeFile(`${directory}/${CLEAN_SHUTDOWN_FILE}`)
  disk.syncDirectory(directory)
}

/** Everything is durable, and the mark says of each log that it was closed cleanly. Throws `DiskError`. */
export function writeCleanStop(disk: Disk, directory: string, brokerEpoch: number): void {
  const contents = `{"version":0,"brokerEpoch":${brokerEpoch},"durableMark":true}`
  replaceFile(disk, directory, CLEAN_SHUTDOWN_FILE, Buffer.from(contents))
}
