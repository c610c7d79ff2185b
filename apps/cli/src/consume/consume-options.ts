import { usageError } from '../command/cli-error.ts'
import { requireWhole } from '../options/numbers.ts'
import type { FilterOptions } from './record-filter.ts'

/** What `consume` was asked for, as texts. */
export interface ConsumeOptions extends FilterOptions {
  from?: string
  last?: string
  until?: string
  exit?: boolean
  count?: string
  partition?: string
  group?: string
  commit: boolean
  format?: string
  json?: boolean
  keys?: boolean
  committed?: boolean
}

/** Throws a usage error for options that do not go together. */
export function checkConsumeOptions(options: ConsumeOptions): void {
  const { group, from, last, until, exit, partition } = options
  if (group !== undefined && [last, until, partition].some((option) => option !== undefined)) {
    throw usageError('--group excludes --last, --until and --partition: the group decides what is read')
  }
  if (group !== undefined && from !== undefined && from !== 'beginning' && from !== 'end') {
    throw usageError('with --group, --from says where to begin without a committed offset: beginning or end')
  }
  if (last !== undefined && from !== undefined) throw usageError('--last and --from exclude each other')
  if (last !== undefined && until !== undefined && until !== 'end') {
    throw usageError('--last reads up to the end: --until can only be end with it')
  }
  if (exit && until !== undefined) throw usageError('--exit and --until exclude each other')
  if ([options.format, options.json, options.keys].filter((option) => option !== undefined).length > 1) {
    throw usageError('give one of --format, --json and --keys')
  }
}

/** Whether reading ends by itself at some time. Without, Ctrl-C is how it ends and no break-off. */
export function isBounded({ exit, until, count }: ConsumeOptions): boolean {
  return exit === true || until !== undefined || count !== undefined
}

/** How many records are wanted; infinite if nobody said. Throws a usage error. */
export function maxCountOf({ count }: ConsumeOptions): number {
  return count === undefined ? Number.POSITIVE_INFINITY : requireWhole('--count', count, 1)
}
