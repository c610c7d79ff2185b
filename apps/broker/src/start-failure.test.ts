import { createServer } from 'node:net'
import { ConfigurationError, DiskError } from '@millrace/base'
import { expect, test } from 'vitest'
import { startFailureText } from './start-failure.ts'

test('a locked data directory names the directory and what to do', () => {
  const text = startFailureText(new DiskError('DISK_OTHER', 'lock', './data/.lock', 'EWOULDBLOCK'))
  expect(text).toContain('the data directory ./data is in use by another broker')
  expect(text).toContain('--data-dir')
})

test('a data directory that cannot be written gives operation, path and the words of the system', () => {
  const text = startFailureText(new DiskError('DISK_OTHER', 'make directory', './data', 'EACCES'))
  expect(text).toContain('make directory ./data: EACCES (permission denied)')
  expect(startFailureText(new DiskError('DISK_IO', 'open', './data/x', null))).toContain('open ./data/x: DISK_IO\n')
})

test('a data directory that is a file is called one', () => {
  const text = startFailureText(new DiskError('DISK_OTHER', 'lock', '/src/package.json/.lock', 'ENOTDIR'))
  expect(text).toContain('the data directory /src/package.json is a file')
  expect(text).not.toContain('user may write')
  expect(startFailureText(new DiskError('DISK_OTHER', 'make directory', './x', 'EEXIST'))).toContain('./x is a file')
})

test('a start that finds no descriptor says which limit to raise', () => {
  const text = startFailureText(new DiskError('DISK_OTHER', 'open', './data/t-0/x.log', 'EMFILE'))
  expect(text).toContain('open ./data/t-0/x.log: EMFILE')
  expect(text).toContain('ulimit -n')
})

test('a port in use is named, with the option that chooses another', async () => {
  const first = createServer()
  await new Promise<void>((resolve) => first.listen(0, '127.0.0.1', resolve))
  const address = first.address()
  const port = typeof address === 'object' && address !== null ? address.port : 0
  const second = createServer()
  const error = await new Promise<Error>((resolve) => {
    second.once('error', resolve)
    second.listen(port, '127.0.0.1')
  })
  await new Promise((resolve) => first.close(resolve))
  expect(startFailureText(error)).toBe(
    `port ${port} of 127.0.0.1 is in use by another process\n  Stop that one, or choose another port with --port (0 lets the system choose).`,
  )
})

test('addresses of other machines, privileged ports and unknown hosts say what to correct', () => {
  const listenError = (code: string, syscall = 'listen') =>
    Object.assign(new Error(`${syscall} ${code}`), { code, syscall, address: '192.0.2.1', port: 80 })
  expect(startFailureText(listenError('EADDRNOTAVAIL'))).toContain('this machine has no such address')
  expect(startFailureText(listenError('EACCES'))).toContain('1024 or more')
  expect(startFailureText(listenError('ENOTFOUND', 'getaddrinfo'))).toContain('"listeners"')
  expect(startFailureText(listenError('EOTHER'))).toBe('listen EOTHER')
})

test('errors that speak for themselves stay as they are', () => {
  expect(startFailureText(new ConfigurationError('a', 'wrong value'))).toBe('wrong value')
  expect(startFailureText('nothing')).toBe('nothing')
})
