import { mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { DiskError } from '../errors.ts'
import { RealDisk } from './real-disk.ts'

let directory = ''

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), 'millrace-real-disk-'))
})

afterEach(() => {
  rmSync(directory, { recursive: true })
})

test('a directory is made with its parents, for the owner only, and may be there already', () => {
  const disk = new RealDisk()
  const path = `${directory}/a/b/c`
  disk.makeDirectory(path)
  disk.makeDirectory(path)
  disk.makeDirectory(`${path}/`)
  expect(statSync(path).mode & 0o777).toBe(0o700)
  expect(statSync(`${directory}/a`).mode & 0o777).toBe(0o700)
})

test('a file in the way of a directory is an error that names the system error', () => {
  writeFileSync(`${directory}/file`, '')
  const disk = new RealDisk()
  expect(() => disk.makeDirectory(`${directory}/file`)).toThrow(`make directory ${directory}/file: EEXIST`)
  expect(() => disk.makeDirectory(`${directory}/file/below`)).toThrow('ENOTDIR')
})

test('a parent that takes no entries is an error and no endless loop', () => {
  expect(() => new RealDisk().makeDirectory('/proc/millrace/data')).toThrow(DiskError)
})
