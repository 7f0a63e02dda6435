import { describe, expect, it } from 'vitest';
import { addressFault, hostFault, urlFault } from './private-address.ts';

const inside = [
  'http://127.0.0.1',
  'http://127.0.0.1:8080/v1',
  'http://127.1',
  'http://127.0.1',
  'http://2130706433',
  'http://0x7f000001',
  'http://0x7f.1',
  'http://0X7F.0x0.0x0.0x1',
  'http://017700000001',
  'http://0177.0.0.1',
  'http://0177.0.0.01',
  'http://127.0.0.1.',
  'http://127.255.255.254',
  'http://%31%32%37.0.0.1',
  'http://１２７.０.０.１',
  'http://127。0。0。1',
  'http://①②⑦.⓪.⓪.①',
  'http://0',
  'http://0.0.0.0',
  'http://0.1.2.3',
  'http://10.0.0.1',
  'http://10.255.255.255',
  'http://012.0.0.1',
  'http://172.16.0.1',
  'http://172.31.255.255',
  'http://192.168.1.1',
  'http://192.168.257',
  'http://3232235777',
  'http://169.254.169.254/latest/meta-data',
  'http://0xA9FEA9FE',
  'http://2852039166',
  'http://169.254.43518',
  'http://100.64.0.1',
  'http://100.100.100.200',
  'http://168.63.129.16',
  'http://192.0.0.192',
  'http://192.0.2.1',
  'http://198.51.100.7',
  'http://203.0.113.9',
  'http://198.18.0.1',
  'http://198.19.255.255',
  'http://192.88.99.1',
  'http://224.0.0.1',
  'http://239.255.255.250',
  'http://240.0.0.1',
  'http://255.255.255.255',
  'http://[::1]',
  'http://[0:0:0:0:0:0:0:1]',
  'http://[::]',
  'http://[::ffff:127.0.0.1]',
  'http://[::ffff:7f00:1]',
  'http://[::ffff:10.0.0.1]',
  'http://[0:0:0:0:0:ffff:a9fe:a9fe]',
  'http://[::127.0.0.1]',
  'http://[::7f00:1]',
  'http://[::ffff:0:127.0.0.1]',
  'http://[64:ff9b::7f00:1]',
  'http://[64:ff9b::169.254.169.254]',
  'http://[64:ff9b:1::a00:1]',
  'http://[2002:7f00:1::]',
  'http://[2002:a9fe:a9fe::1]',
  'http://[2001:0:53aa:64c:0:fbff:80ff:fffe]',
  'http://[2001:db8::1]',
  'http://[2001:2::1]',
  'http://[3fff::1]',
  'http://[100::1]',
  'http://[fe80::1]',
  'http://[febf::1]',
  'http://[fec0::1]',
  'http://[fc00::1]',
  'http://[fd00:ec2::254]',
  'http://[ff02::1]',
  'http://localhost',
  'http://LOCALHOST:8000',
  'http://localhost.',
  'http://api.localhost',
  'http://ｌｏｃａｌｈｏｓｔ',
  'http://%6cocalhost',
  'http://localhost.localdomain',
  'http://ip6-localhost',
  'http://postgres:5432',
  'http://printer.local',
  'http://metadata.google.internal/computeMetadata/v1',
  'http://metadata.google.internal.',
  'http://router.lan',
  'http://nas.home.arpa',
  'http:127.0.0.1',
  'http:///127.0.0.1',
];

describe('a private address', () => {
  it.each(inside)('is known in the spelling %s', (url) => {
    expect(urlFault(url, { allowPrivate: false })?.rule).toMatch(/^PRIVATE_(?:ADDRESS|NAME)$/);
    expect(urlFault(url, { allowPrivate: true })).toBeUndefined();
  });

  it('is not quoted in what is said of it', () => {
    expect(urlFault('http://0xA9FEA9FE', { allowPrivate: false })?.description).toBe(
      'must not be a private address (link-local)',
    );
  });

  it.each(['127.0.0.1', '127.1', '0x7f.1', '[::1]', '::1', 'localhost', 'fe80::1%eth0', '[::ffff:7f00:1]', '', 'a/b'])(
    'is known as a bare host, or is none: %s',
    (host) => {
      expect(hostFault(host)).toBeDefined();
    },
  );

  it.each(['127.0.0.1', '::1', '::ffff:10.1.1.1', 'fe80::1%2', '64:ff9b::a00:1', 'no address', '', '1.2.3'])(
    'is known as a resolver writes it: %s',
    (address) => {
      expect(addressFault(address)?.rule).toBe('PRIVATE_ADDRESS');
    },
  );
});

describe('a public address', () => {
  it.each([
    'https://api.openai.com/v1',
    'https://api.example.com./v1?x=1',
    'https://generativelanguage.googleapis.com',
    'http://8.8.8.8',
    'http://172.32.0.1',
    'http://100.128.0.1',
    'http://[2606:4700:4700::1111]:8443/v1',
    'http://[64:ff9b::808:808]',
    'http://[::ffff:8.8.8.8]',
    'https://bücher.example.org',
    'http://localhost.example.com',
    'http://127.0.0.1.example.com',
  ])('is let through: %s', (url) => {
    expect(urlFault(url, { allowPrivate: false })).toBeUndefined();
  });
});

describe('a URL that is none', () => {
  it.each([
    ['', 'URL'],
    ['api.openai.com', 'URL'],
    ['http://', 'URL'],
    ['http://[::1%25eth0]', 'URL'],
    ['http://1.2.3.4.5', 'URL'],
    ['http://256.1.1.1', 'URL'],
    ['http://4294967296', 'URL'],
    ['http://a b', 'URL'],
    ['http://example.com\\@127.0.0.1', 'URL'],
    ['http://exa\tmple.com', 'URL'],
    ['http://example.com\n', 'URL'],
    ['ftp://example.com', 'SCHEME'],
    ['file:///etc/passwd', 'SCHEME'],
    ['javascript:alert(1)', 'SCHEME'],
    ['http://user:secret@example.com', 'USERINFO'],
    ['http://example.com@127.0.0.1', 'USERINFO'],
    ['http://@example.com', 'USERINFO'],
    ['http://:@example.com', 'USERINFO'],
    ['https://example.com/v1#x', 'FRAGMENT'],
  ])('is refused whatever is allowed: %j', (url, rule) => {
    expect(urlFault(url, { allowPrivate: false })?.rule).toBe(rule);
    expect(urlFault(url, { allowPrivate: true })?.rule).toBe(rule);
  });
});
