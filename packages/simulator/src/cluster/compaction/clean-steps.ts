/**
 * What a broker's disk does for compaction: the files of a new segment; the names by which a start would finish its exchange; the
 * exchange, in one turn; the end of the old files; how far the log is compacted.
 */
export const CLEAN_STEPS = ['copy', 'announcement', 'exchange', 'removal', 'checkpoint'] as const
export type CleanStep = (typeof CLEAN_STEPS)[number]

/** A file of a segment that is in use. */
const SEGMENT_FILE = /\/[0-9]{20}\.(log|index|timeindex|txnindex)$/

/** Of which step the operation is. What retention takes away begins as an exchange does. */
export function cleanStepOf(operation: string, path: string): CleanStep | null {
  if (path.includes('/cleaner-offset-checkpoint')) return 'checkpoint'
  if (operation === 'rename') {
    if (path.endsWith('.cleaned')) return 'announcement'
    return path.endsWith('.swap') || SEGMENT_FILE.test(path) ? 'exchange' : null
  }
  if (path.endsWith('.cleaned')) return 'copy'
  return operation === 'remove' && path.endsWith('.deleted') ? 'removal' : null
}
