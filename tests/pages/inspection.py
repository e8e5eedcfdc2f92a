"""What every page has to be, as a phone shows it; by the rules of WCAG 2.2 that its number names."""

from playwright.async_api import Page

INSPECT = """() => {
  const faults = [], all = selector => [...document.querySelectorAll(selector)];
  const shown = element => element.getClientRects().length > 0;
  const channels = color => color.match(/[\\d.]+/g).map(Number);
  const light = ([red, green, blue]) => {
    const linear = value => (value /= 255) <= .04045 ? value / 12.92 : ((value + .055) / 1.055) ** 2.4;
    return .2126 * linear(red) + .7152 * linear(green) + .0722 * linear(blue);
  };
  const ground = element => {
    for (; element; element = element.parentElement) {
      const color = channels(getComputedStyle(element).backgroundColor);
      if (color.length === 3 || color[3] === 1) return color;
    }
    return [255, 255, 255];
  };
  const contrast = element => {
    const [a, b] = [channels(getComputedStyle(element).color), ground(element)].map(light);
    return (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
  };
  const language = document.documentElement.lang;
  if (!['el', 'en'].includes(language)) faults.push('3.1.1 the page has no language: ' + language);
  if (!document.title.trim()) faults.push('2.4.2 no title');
  if (all('main').length !== 1) faults.push('1.3.1 not one main');
  if (all('h1').length !== 1) faults.push('1.3.1 not one first heading');
  const levels = all('h1,h2,h3').map(heading => Number(heading.tagName[1]));
  if (levels.some((level, index) => level > (levels[index - 1] ?? 0) + 1)) faults.push('1.3.1 headings jump');
  const fetched = 'script,iframe,img,object,embed,link:not([href="data:,"])';
  if (all(fetched).length) faults.push('something runs or is loaded');
  const ids = all('[id]').map(element => element.id);
  if (new Set(ids).size !== ids.length) faults.push('4.1.1 ids repeat');
  for (const reference of all('[aria-labelledby]'))
    if (!document.getElementById(reference.getAttribute('aria-labelledby'))) faults.push('4.1.2 a label is missing');
  for (const picture of all('svg'))
    if (!picture.closest('[aria-hidden=true],[role=img][aria-label]')) faults.push('1.1.1 a picture has no name');
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || !shown(element)) continue;
    const words = node.data.trim().slice(0, 20);
    if (parseFloat(getComputedStyle(element).fontSize) < 16) faults.push('smaller than 16 px: ' + words);
    if (contrast(element) < 4.5) faults.push('1.4.3 contrast ' + contrast(element).toFixed(2) + ': ' + words);
  }
  for (const target of all('a,button,input,select,summary')) {
    const box = target.getBoundingClientRect();
    if (box.width < 44 || box.height < 44) faults.push('2.5.5 too small to tap: ' + target.textContent);
    if (!target.textContent.trim()) faults.push('4.1.2 a control has no name');
  }
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push('1.4.10 scrolls sideways');
  for (const element of all('body *'))
    if (element.getBoundingClientRect().right > width + 1) faults.push('1.4.10 sticks out: ' + element.tagName);
  const viewport = document.querySelector('meta[name=viewport]').content;
  if (/user-scalable|maximum-scale/.test(viewport)) faults.push('1.4.4 zooming is forbidden');
  if (document.getAnimations().length) faults.push('2.3.3 something moves');
  return faults;
}"""
FOCUS = """() => {
  const element = document.activeElement, style = getComputedStyle(element);
  return [element.textContent, style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2];
}"""


async def faults(page: Page) -> list[str]:
    found: list[str] = await page.evaluate(INSPECT)
    return found


async def keyboard_stops(page: Page) -> list[str]:
    """What the tab key stops at, in its order; each stop has to be seen (2.4.7)."""
    stops = []
    for _ in range(await page.locator("a,button").count()):
        await page.keyboard.press("Tab")
        name, is_seen = await page.evaluate(FOCUS)
        assert is_seen, f"nothing shows that {name} has the focus"
        stops.append(name)
    return stops
