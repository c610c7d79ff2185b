import { basename } from 'node:path'
import { CliError } from '../command/cli-error.ts'
import {
  dumpIndex,
  dumpProducerSnapshot,
  dumpText,
  dumpTransactionIndex,
  offsetIndex,
  timeIndex,
} from './dump-indexes.ts'
import { dumpSegment } from './dump-segment.ts'
import type { DumpOptions, DumpSink } from './dump-sink.ts'

/** Names of the files in a log directory that {@link dumpFile} understands. */
export const DUMPABLE =
  /^(\d{20}\.(log|index|timeindex|txnindex|snapshot)|leader-epoch-checkpoint|partition\.metadata)$/

/** Prints one file, by its name. */
export async function dumpFile(path: string, options: DumpOptions, sink: DumpSink): Promise<void> {
  const name = basename(path)
  if (!DUMPABLE.test(name)) {
    throw new CliError(`${path}: not a file of a log`, {
      hint: 'Give .log, .index, .timeindex, .txnindex and .snapshot files, or a directory that has them.',
    })
  }
  const baseOffset = Number(/^\d+/.exec(name)?.[0] ?? 0)
  if (name.endsWith('.log')) await dumpSegment(path, baseOffset, options, sink)
  else if (name.endsWith('.timeindex')) await dumpIndex(timeIndex, path, baseOffset, options, sink)
  else if (name.endsWith('.txnindex')) await dumpTransactionIndex(path, sink)
  else if (name.endsWith('.index')) await dumpIndex(offsetIndex, path, baseOffset, options, sink)
  else if (name.endsWith('.snapshot')) await dumpProducerSnapshot(path, sink)
  else await dumpText(path, sink)
}
