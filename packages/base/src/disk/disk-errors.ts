import { DiskError, type DiskErrorCode } from '../errors.ts'

/** A system error as the port's own, with the system's name kept in `errno`. */
export function toDiskError(operation: string, path: string, cause: unknown): DiskError {
  if (cause instanceof DiskError) return cause
  const errno = cause instanceof Error && 'code' in cause && typeof cause.code === 'string' ? cause.code : null
  return new DiskError(codeOf(errno), operation, path, errno, { cause })
}

function codeOf(errno: string | null): DiskErrorCode {
  switch (errno) {
    case 'ENOSPC':
    case 'EDQUOT':
    case 'EFBIG':
      return 'DISK_FULL'
    case 'EIO':
      return 'DISK_IO'
    case 'ENOENT':
    case 'ENOTDIR':
      return 'DISK_NOT_FOUND'
    default:
      return 'DISK_OTHER'
  }
}
