import type { Uuid } from '@millrace/base'
import { type AclImage, AclOperation, AclPatternType, AclPermissionType, AclResourceType } from '@millrace/consensus'
import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { RuleSet } from './rule-set.ts'

const { TOPIC, GROUP } = AclResourceType
const { ALL, READ, WRITE, DELETE, ALTER, DESCRIBE, ALTER_CONFIGS, DESCRIBE_CONFIGS } = AclOperation
const { LITERAL, PREFIXED } = AclPatternType
const { ALLOW, DENY } = AclPermissionType

const NAMES = ['a', 'ab', 'abc', 'b', '*']
const PRINCIPALS = ['User:p', 'User:q', 'Group:p', 'User:*']
const HOSTS = ['*', '10.0.0.1', '10.0.0.2']
const OPERATIONS = [READ, WRITE, DELETE, ALTER, DESCRIBE, ALTER_CONFIGS, DESCRIBE_CONFIGS]

const arbitraryAcl: fc.Arbitrary<Omit<AclImage, 'id'>> = fc.record({
  resourceType: fc.constantFrom(TOPIC, GROUP),
  resourceName: fc.constantFrom(...NAMES),
  patternType: fc.constantFrom(LITERAL, PREFIXED),
  principal: fc.constantFrom(...PRINCIPALS),
  host: fc.constantFrom(...HOSTS),
  operation: fc.constantFrom(ALL, ...OPERATIONS),
  permissionType: fc.constantFrom(ALLOW, ALLOW, DENY),
})

function mapOf(acls: readonly Omit<AclImage, 'id'>[]): Map<string, AclImage> {
  return new Map(acls.map((acl, slot) => [String(slot), { ...acl, id: String(slot) as Uuid }]))
}

/** The rules of Kafka's StandardAuthorizer, said as plainly as they can be. */
function isAllowed(
  acls: Iterable<AclImage>,
  asked: { principal: string; host: string; operation: number; resourceType: number; name: string },
  isOpen: boolean,
): boolean {
  const { principal, host, operation, resourceType, name } = asked
  const about = [...acls].filter(
    (acl) =>
      acl.resourceType === resourceType &&
      (acl.patternType === PREFIXED
        ? name.startsWith(acl.resourceName)
        : acl.resourceName === name || acl.resourceName === '*'),
  )
  if (about.length === 0) return isOpen
  const applying = about.filter(
    (acl) => (acl.principal === principal || acl.principal === 'User:*') && (acl.host === '*' || acl.host === host),
  )
  const isDenied = applying.some(
    (acl) => acl.permissionType === DENY && (acl.operation === ALL || acl.operation === operation),
  )
  if (isDenied) return false
  const implying: number[] =
    operation === DESCRIBE
      ? [DESCRIBE, READ, WRITE, DELETE, ALTER]
      : operation === DESCRIBE_CONFIGS
        ? [DESCRIBE_CONFIGS, ALTER_CONFIGS]
        : [operation]
  return applying.some(
    (acl) => acl.permissionType === ALLOW && (acl.operation === ALL || implying.includes(acl.operation)),
  )
}

describe('decisions', () => {
  test('are those of the plain rules, for every principal, host, operation and name', () => {
    fc.assert(
      fc.property(fc.array(arbitraryAcl, { maxLength: 12 }), fc.boolean(), (list, isOpen) => {
        const acls = mapOf(list)
        const rules = new RuleSet(acls, isOpen)
        for (const principal of ['User:p', 'User:q', 'Group:p', 'User:nobody', 'User:*']) {
          for (const host of ['10.0.0.1', '10.0.0.2', '10.0.0.3']) {
            const decisions = rules.decisionsFor(principal, host)
            for (const name of ['a', 'ab', 'abcd', 'b', 'c', '*']) {
              for (const resourceType of [TOPIC, GROUP]) {
                for (const operation of OPERATIONS) {
                  const asked = { principal, host, operation, resourceType, name }
                  const decided = (decisions.operationsOn(resourceType, name) & (1 << operation)) !== 0
                  expect(decided, JSON.stringify(asked)).toBe(isAllowed(acls.values(), asked, isOpen))
                }
              }
            }
          }
        }
      }),
      { numRuns: 60 },
    )
  })

  test('a resource that may be written to is found, and none where there is none', () => {
    // A name longer than all patterns, beginning with each of them: what a denied prefix does not cover is among these.
    const names = [...NAMES.filter((name) => name !== '*'), 'abz', 'bz', 'az', 'abcz', 'hardcode', '*z']
    fc.assert(
      fc.property(fc.array(arbitraryAcl, { maxLength: 12 }), fc.boolean(), (list, isOpen) => {
        const acls = mapOf(list)
        const decisions = new RuleSet(acls, isOpen).decisionsFor('User:p', '10.0.0.1')
        const any = names.some((name) => {
          const asked = { principal: 'User:p', host: '10.0.0.1', operation: WRITE, resourceType: TOPIC, name }
          return isAllowed(acls.values(), asked, isOpen)
        })
        if (any) expect(decisions.isAllowedOnAny(WRITE, TOPIC)).toBe(true)
      }),
      { numRuns: 300 },
    )
  })
})

describe('any resource', () => {
  const acl = (init: Partial<AclImage>): Omit<AclImage, 'id'> => ({
    resourceType: TOPIC,
    resourceName: 'a',
    patternType: LITERAL,
    principal: 'User:p',
    host: '*',
    operation: WRITE,
    permissionType: ALLOW,
    ...init,
  })
  const denied = (init: Partial<AclImage>) => acl({ permissionType: DENY, ...init })
  test.each([
    ['nothing is allowed', false, []],
    ['one name', true, [acl({})]],
    ['one name, which is denied too', false, [acl({}), denied({})]],
    [
      'one name, within a denied prefix',
      false,
      [acl({ resourceName: 'abc' }), denied({ resourceName: 'ab', patternType: PREFIXED })],
    ],
    [
      'a prefix wider than what is denied',
      true,
      [acl({ resourceName: 'a', patternType: PREFIXED }), denied({ resourceName: 'ab', patternType: PREFIXED })],
    ],
    ['a prefix, and a name in it is denied', true, [acl({ patternType: PREFIXED }), denied({})]],
    ['all names, and some are denied', true, [acl({ resourceName: '*' }), denied({})]],
    ['one name, and all are denied', false, [acl({}), denied({ resourceName: '*' })]],
    ['everything on a name', true, [acl({ operation: ALL })]],
    ['something else', false, [acl({ operation: READ })]],
    ['of another type', false, [acl({ resourceType: GROUP })]],
    ['for another principal', false, [acl({ principal: 'User:q' })]],
    ['from another host', false, [acl({ host: '10.0.0.2' })]],
  ] as [string, boolean, Omit<AclImage, 'id'>[]][])('%s: %s', (_, expected, list) => {
    const decisions = new RuleSet(mapOf(list), false).decisionsFor('User:p', '10.0.0.1')
    expect(decisions.isAllowedOnAny(WRITE, TOPIC)).toBe(expected)
  })
})

describe('what is remembered', () => {
  test('is shared by all whom no rule names', () => {
    const rules = new RuleSet(mapOf([{ ...acl, principal: 'User:p', host: '10.0.0.1' }]), false)
    const stranger = rules.decisionsFor('User:x', '10.0.0.7')
    expect(rules.decisionsFor('User:y', '10.0.0.8')).toBe(stranger)
    expect(rules.decisionsFor('User:p', '10.0.0.8')).toBe(rules.decisionsFor('User:p', '10.0.0.9'))
    expect(rules.decisionsFor('User:p', '10.0.0.1')).not.toBe(rules.decisionsFor('User:p', '10.0.0.9'))
  })

  test('has an end, after which everything is decided anew, and the same', () => {
    const rules = new RuleSet(mapOf([acl]), false)
    const first = rules.decisionsFor('User:p', '10.0.0.1')
    for (let n = 0; n < 60_000; n++) expect(first.operationsOn(TOPIC, `t${n}`)).toBe(0)
    expect(rules.isFull).toBe(true)
    const second = rules.decisionsFor('User:p', '10.0.0.1')
    expect(second).not.toBe(first)
    expect(rules.isFull).toBe(false)
    expect([first.isForgotten, second.isForgotten]).toEqual([true, false])
    for (const decisions of [first, second]) expect(decisions.operationsOn(TOPIC, 'a') & (1 << WRITE)).not.toBe(0)
  })

  test('IPv6 hosts are compared as addresses, in whatever form they are written', () => {
    const rules = new RuleSet(mapOf([{ ...acl, host: '0:0:0:0:0:0:0:1' }]), false)
    expect(rules.decisionsFor('User:p', '::1').operationsOn(TOPIC, 'a')).not.toBe(0)
    expect(rules.decisionsFor('User:p', '::2').operationsOn(TOPIC, 'a')).toBe(0)
  })

  const acl: Omit<AclImage, 'id'> = {
    resourceType: TOPIC,
    resourceName: 'a',
    patternType: LITERAL,
    principal: 'User:p',
    host: '*',
    operation: WRITE,
    permissionType: ALLOW,
  }
})
