import { constants } from 'node:os'
import { getSystemErrorMessage } from 'node:util'
import { DiskError } from '@millrace/base'

/** Why a broker did not start, in words for whoever started it: what failed, where, and what to do. */
export function startFailureText(error: unknown): string {
  if (error instanceof DiskError) return diskFailureText(error)
  if (!(error instanceof Error)) return String(error)
  return listenFailureText(error) ?? error.message
}

function diskFailureText({ operation, path, errno, message }: DiskError): string {
  if (operation === 'lock' && errno === 'EWOULDBLOCK') {
    const directory = path.slice(0, path.lastIndexOf('/'))
    return (
      `the data directory ${directory} is in use by another broker, which holds ${path}\n` +
      '  Stop that broker, or give this one a directory of its own with --data-dir.'
    )
  }
  if (errno === 'EMFILE' || errno === 'ENFILE') {
    return `too few files can be open at a time: ${message}\n  Raise the limit of this process (ulimit -n).`
  }
  if (errno === 'ENOTDIR' || errno === 'EEXIST') {
    const directory = operation === 'lock' ? path.slice(0, path.lastIndexOf('/')) : path
    return `the data directory ${directory} is a file, or lies in one\n  Name a directory with --data-dir or log.dirs.`
  }
  const words = errno === null ? null : systemWords(errno)
  const reason = words === null ? message : `${message} (${words})`
  return `the data directory cannot be used: ${reason}\n  Name a directory that this user may write to with --data-dir or log.dirs.`
}

/** The system's words for an error name such as `EACCES`; null for names that it does not know. */
function systemWords(errno: string): string | null {
  const number: number | undefined = Object.entries(constants.errno).find(([name]) => name === errno)?.[1]
  return number === undefined ? null : (getSystemErrorMessage(-number) ?? null)
}

/** Failures of `listen`, as Node reports them; null for other errors. */
function listenFailureText(error: NodeJS.ErrnoException & { address?: string; port?: number }): string | null {
  const { syscall, code, address, port } = error
  if (syscall === 'getaddrinfo') {
    return `${error.message}\n  Correct the host in "listeners"; it must be a name or address of this machine.`
  }
  if (syscall !== 'listen' && syscall !== 'bind') return null
  const where = `port ${port} of ${address}`
  switch (code) {
    case 'EADDRINUSE':
      return `${where} is in use by another process\n  Stop that one, or choose another port with --port (0 lets the system choose).`
    case 'EADDRNOTAVAIL':
      return `${where} cannot be listened on: this machine has no such address\n  Correct "listeners".`
    case 'EACCES':
      return `${where} may not be listened on by this user\n  Choose a port of 1024 or more with --port.`
    default:
      return error.message
  }
}
