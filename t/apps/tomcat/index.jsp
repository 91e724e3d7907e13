<%@ page session="true" %><%
    // Counts the requests of a session, whose id stands in the links that encodeURL() makes. Clients are
    // asked for no cookie: see web.xml.
    Integer count = (Integer) session.getAttribute("count");
    count = count == null ? 1 : count + 1;
    session.setAttribute("count", count);
    response.setHeader("X-Backend", System.getProperty("shop.name"));
    response.setHeader("X-Count", count.toString());
    if ("login".equals(request.getParameter("do"))) {
        request.changeSessionId();
        response.sendRedirect(response.encodeRedirectURL("index.jsp?page=account"));
        return;
    }
%><!DOCTYPE html>
<title>Shop</title>
<a href="<%= response.encodeURL("index.jsp?number=7") %>">an item</a>
<form action="<%= response.encodeURL("index.jsp?do=buy") %>" method="post"><input name="number" value="7"></form>
<form action="<%= response.encodeURL("index.jsp?do=login") %>" method="post"><input name="user" value="ann"></form>
