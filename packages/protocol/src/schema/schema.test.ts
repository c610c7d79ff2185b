import { describe, expect, test } from 'vitest'
import { allMessages } from './index.ts'
import { type MessageSource, minSizeBytes, resolveMessages } from './resolved-message.ts'
import { hull, intersect, NO_VERSION, parseVersions } from './version-range.ts'

const source = (name: string, schema: MessageSource['schema'], versions = '0-4'): MessageSource => ({
  name,
  kind: 'data',
  key: -1,
  versions,
  flexible: '2+',
  schema,
})

describe('version ranges', () => {
  test('are single versions, spans, or open up to the last one', () => {
    expect(parseVersions('3', 9)).toEqual({ min: 3, max: 3 })
    expect(parseVersions('3-7', 9)).toEqual({ min: 3, max: 7 })
    expect(parseVersions('3+', 9)).toEqual({ min: 3, max: 9 })
  })

  test('refuse anything else', () => {
    for (const text of ['none', '', '3-', '-3', '7-3', '3+4', '10+']) expect(() => parseVersions(text, 9)).toThrow()
  })

  test('intersect to nothing when they are apart, and their hull spans the gap', () => {
    expect(intersect({ min: 0, max: 2 }, { min: 3, max: 4 })).toBeNull()
    expect(hull({ min: 0, max: 2 }, { min: 4, max: 5 })).toEqual({ min: 0, max: 5 })
  })
})

describe('resolved messages', () => {
  test('a struct reaches the versions of all fields that use it', () => {
    const [message] = resolveMessages([
      source('SampleData', {
        structs: { SharedPart: [{ name: 'id', type: 'int32' }] },
        fields: [
          { name: 'old', type: 'SharedPart[]', versions: '0-1' },
          { name: 'new', type: 'SharedPart[]', versions: '4+' },
        ],
      }),
    ])
    expect(message!.structs[0]!.versions).toEqual({ min: 0, max: 4 })
    expect(message!.structs[0]!.fields[0]!.versions).toEqual({ min: 0, max: 4 })
  })

  test('a struct name that is shared or a single word gets the name of its message', () => {
    const schema = { fields: [{ name: 'a', type: 'TopicPart[]', fields: [{ name: 'id', type: 'int8' }] }] }
    const single = { fields: [{ name: 'n', type: 'Node[]', fields: [{ name: 'id', type: 'int8' }] }] }
    const names = resolveMessages([source('OneData', schema), source('TwoData', schema), source('ThreeData', single)])
    expect(names.map((message) => message.structs[0]!.typeName)).toEqual([
      'OneDataTopicPart',
      'TwoDataTopicPart',
      'ThreeDataNode',
    ])
  })

  test('a struct that is not defined, or twice, is a mistake', () => {
    expect(() => resolveMessages([source('OneData', { fields: [{ name: 'a', type: 'Missing' }] })])).toThrow('Missing')
    const twice = [
      { name: 'a', type: 'TopicPart', fields: [{ name: 'id', type: 'int8' }] },
      { name: 'b', type: 'TopicPart', fields: [{ name: 'id', type: 'int8' }] },
    ]
    expect(() => resolveMessages([source('OneData', { fields: twice })])).toThrow('twice')
  })

  test('the smallest size of an element counts what each version must have', () => {
    const [message] = resolveMessages([
      source('SampleData', {
        fields: [
          {
            name: 'parts',
            type: 'SamplePart[]',
            fields: [
              { name: 'id', type: 'int32' },
              { name: 'name', type: 'string', versions: '1+' },
              { name: 'ids', type: 'int64[]' },
              { name: 'extra', type: 'uuid', versions: '3+', tag: 0 },
            ],
          },
        ],
      }),
    ])
    const part = message!.structs[0]!
    expect([0, 1, 2, 3].map((version) => minSizeBytes(message!, part, version))).toEqual([8, 10, 7, 7])
  })

  test('every element of every array takes a byte at least, so that counts can be checked', () => {
    for (const message of allMessages()) {
      for (const struct of [message.root, ...message.structs]) {
        for (const field of struct.fields.filter(({ isArray }) => isArray)) {
          for (let version = field.versions.min; version <= field.versions.max; version++) {
            expect(minSizeBytes(message, field.type, version)).toBeGreaterThan(0)
          }
        }
      }
      expect(message.versions.max).toBeLessThan(NO_VERSION)
    }
  })
})
