-- For pandoc, which makes the manual page of the pages in docs/, see tools/man: what a terminal
-- cannot show as GitHub does. Links become their text, tables lists, code in a line bold.

local function plain(inlines)
  return pandoc.utils.stringify(inlines)
end

-- The pages that are in the manual page themselves, see tools/man.
local here = { directives = 1, sessions = 1, variables = 1, promises = 1, limits = 1, security = 1 }

function Link(link)
  local up, page = link.target:match('^(%.?%.?/?)([%w-]+)%.md')
  if not page or here[page] then return link.content end
  local file = pandoc.Strong((up == '../' and '' or 'docs/') .. page .. '.md')
  -- Where the text is the name of the page, the reader needs its folder alone.
  if plain(link.content):match('^[%w-]+%.md$') then return file end
  local text = pandoc.List(link.content)
  text:extend({ pandoc.Space(), pandoc.Str('('), file, pandoc.Str(')') })
  return text
end

function Code(code)
  return pandoc.Strong(code.text)
end

function CodeBlock(block)
  local text = block.text:gsub('\\', '\\e'):gsub('%-', '\\-'):gsub("'", '\\(aq'):gsub('\n%.', '\n\\&.')
  text = text:gsub('`', '\\(ga'):gsub('%^', '\\(ha'):gsub('~', '\\(ti'):gsub('^%.', '\\&.')
  return pandoc.RawBlock('man', '.PP\n.RS 4\n.EX\n' .. text .. '\n.EE\n.RE')
end

-- Pictures are no part of it.
function RawBlock(block)
  if block.format == 'html' then return {} end
end
function RawInline(inline)
  if inline.format == 'html' then return {} end
end

-- Each row: its first cell, and below it the others, from the third on with their headings; the
-- second, too, where the first has none, as in a comparison.
function Table(tbl)
  local simple = pandoc.utils.to_simple_table(tbl)
  local items = {}
  for _, row in ipairs(simple.rows) do
    local term = row[1][1] and row[1][1].content or { pandoc.Str('-') }
    local text = {}
    for column = 2, #row do
      local cell, heading = row[column][1], plain(simple.headers[column])
      if cell then
        if #text > 0 then table.insert(text, pandoc.Str('.')) table.insert(text, pandoc.Space()) end
        if #row > 2 and heading ~= '' and (column > 2 or plain(simple.headers[1]) == '') then
          table.insert(text, pandoc.Emph({ pandoc.Str(heading .. ':') }))
          table.insert(text, pandoc.Space())
        end
        for _, inline in ipairs(cell.content) do table.insert(text, inline) end
      end
    end
    table.insert(items, { term, { { pandoc.Para(text) } } })
  end
  return pandoc.DefinitionList(items)
end

-- A page is a section, and its name in capitals.
function Header(header)
  if header.level == 1 then
    return pandoc.Header(1, { pandoc.Str(plain(header.content):upper()) })
  end
end
