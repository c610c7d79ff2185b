import type { CompressionType } from '@millrace/client'
import { usageError } from '../command/cli-error.ts'

const CODECS: readonly CompressionType[] = ['none', 'gzip', 'snappy', 'lz4', 'zstd']

/** The `--acks` of a text; all if left out. Throws a usage error. */
export function requireAcks(text: string | undefined): 0 | 1 | 'all' {
  if (text === undefined || text === 'all' || text === '-1') return 'all'
  if (text === '0' || text === '1') return text === '0' ? 0 : 1
  throw usageError(`--acks ${text}: must be all, 1 or 0`)
}

/** The `--compression` of a text; none if left out. Throws a usage error. */
export function requireCompression(text: string | undefined): CompressionType {
  const codec = CODECS.find((name) => name === (text ?? 'none'))
  if (codec === undefined) throw usageError(`--compression ${text}: must be none, gzip, snappy, lz4 or zstd`)
  return codec
}
